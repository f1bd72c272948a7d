output "bucket_names" {
  description = "Buckets that exist now."
  value       = sort([for bucket in aws_s3_bucket.models : bucket.id])
}

output "bucket_arns" {
  description = "Bucket name to ARN."
  value       = { for name, bucket in aws_s3_bucket.models : name => bucket.arn }
}
