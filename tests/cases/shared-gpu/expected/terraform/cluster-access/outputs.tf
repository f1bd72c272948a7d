output "role_arns" {
  description = "Role (writer, csi, reader) to its ARN."
  value       = { for role, resource in aws_iam_role.this : role => resource.arn }
}

output "associations" {
  description = "Namespace/ServiceAccount to the role that its pods take."
  value       = { for subject, association in local.associations : subject => aws_iam_role.this[association.role].name }
}

output "bucket_names" {
  description = "Buckets that the roles reach."
  value       = sort(local.buckets)
}
