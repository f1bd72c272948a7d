# Who on the cluster may read and write the model buckets: once per cluster.

data "aws_partition" "current" {}

locals {
  role_prefix = "${var.prefix}-${var.cluster}-model"
  partition   = data.aws_partition.current.partition
  cluster_arn = "arn:${local.partition}:eks:${var.aws_region}:${var.aws_account_id}:cluster/${var.aws_cluster_name}"

  derived     = "${var.prefix}-ray-models-${var.aws_account_id}"
  buckets     = setunion(var.bucket_names, var.derive_bucket_name ? [local.derived] : [])
  bucket_arns = [for name in local.buckets : "arn:${local.partition}:s3:::${name}"]

  # role -> who may take it
  identities = merge(
    {
      writer = { namespace = var.namespace, service_accounts = [var.prestage_service_account] }
    },
    var.driver_credentials ? {
      csi = { namespace = var.csi_service_account.namespace, service_accounts = [var.csi_service_account.name] }
    } : {},
    length(var.service_accounts) > 0 ? {
      reader = { namespace = var.namespace, service_accounts = sort(var.service_accounts) }
    } : {},
  )

  # role -> prefixes that it may read
  reads = {
    writer = ["models"]
    csi    = ["models"]
    reader = var.read_code ? ["models", "code"] : ["models"]
  }

  associations = merge([
    for role, identity in local.identities : {
      for account in identity.service_accounts : "${identity.namespace}/${account}" => {
        role      = role
        namespace = identity.namespace
        account   = account
      }
    }
  ]...)
}

# EKS Pod Identity sends the namespace and the ServiceAccount as session tags, which only it can set: a pod of
# another ServiceAccount or cluster cannot take the role, even where somebody adds an association.
data "aws_iam_policy_document" "trust" {
  for_each = local.identities

  statement {
    sid     = "PodIdentity"
    actions = ["sts:AssumeRole", "sts:TagSession"]

    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.aws_account_id]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.cluster_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/kubernetes-namespace"
      values   = [each.value.namespace]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/kubernetes-service-account"
      values   = each.value.service_accounts
    }
  }
}

data "aws_iam_policy_document" "read" {
  for_each = local.identities

  # S3 takes the key of a GetObject or HeadObject as s3:prefix here, so a missing object is a 404 and not a 403.
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = local.bucket_arns

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = [for prefix in local.reads[each.key] : "${prefix}/*"]
    }
  }

  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = [for pair in setproduct(local.bucket_arns, local.reads[each.key]) : "${pair[0]}/${pair[1]}/*"]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]

    content {
      sid       = "Decrypt"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${var.aws_region}.${data.aws_partition.current.dns_suffix}"]
      }
    }
  }
}

# No s3:DeleteObject on models: a revision is a new prefix, and nothing is swept from inside the cluster. Only the note
# of how far a run is, which a later one continues from, goes when the model is complete.
data "aws_iam_policy_document" "write" {
  source_policy_documents = [data.aws_iam_policy_document.read["writer"].json]

  statement {
    sid       = "Write"
    actions   = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"]
    resources = [for arn in local.bucket_arns : "${arn}/models/*"]
  }

  statement {
    sid       = "DropNotes"
    actions   = ["s3:DeleteObject"]
    resources = [for arn in local.bucket_arns : "${arn}/models/*/.modelyard/progress.json"]
  }

  statement {
    sid       = "ListUploads"
    actions   = ["s3:ListBucketMultipartUploads"]
    resources = local.bucket_arns
  }

  dynamic "statement" {
    for_each = var.notification_topic_arn == null ? [] : [var.notification_topic_arn]

    content {
      sid       = "Notify"
      actions   = ["sns:Publish"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]

    content {
      sid       = "Encrypt"
      actions   = ["kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${var.aws_region}.${data.aws_partition.current.dns_suffix}"]
      }
    }
  }
}

resource "aws_iam_role" "this" {
  for_each = local.identities

  name               = "${local.role_prefix}-${each.key}"
  description        = "Model weights of cluster ${var.cluster}: ${each.key}"
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json

  lifecycle {
    # One state per cluster: the variables of one cluster applied to the state of another would replace its roles.
    precondition {
      condition     = contains(["default", var.cluster], terraform.workspace)
      error_message = "The workspace belongs to another cluster than the variables; select the workspace ${var.cluster}."
    }
  }
}

resource "aws_iam_role_policy" "this" {
  for_each = aws_iam_role.this

  name   = "model-buckets"
  role   = each.value.id
  policy = each.key == "writer" ? data.aws_iam_policy_document.write.json : data.aws_iam_policy_document.read[each.key].json
}

resource "aws_eks_pod_identity_association" "this" {
  for_each = local.associations

  cluster_name    = var.aws_cluster_name
  namespace       = each.value.namespace
  service_account = each.value.account
  role_arn        = aws_iam_role.this[each.value.role].arn

  # A pod has no rights until its role has them, and it does not ask twice.
  depends_on = [aws_iam_role_policy.this]
}
