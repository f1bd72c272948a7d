# Who on the cluster may read and write the model buckets: once per cluster.

data "aws_partition" "current" {}

locals {
  role_prefix = "${var.prefix}-${var.cluster}-model"
  partition   = data.aws_partition.current.partition
  cluster_arn = "arn:${local.partition}:eks:${var.aws_region}:${var.aws_account_id}:cluster/${var.aws_cluster_name}"

  # The buckets of the cluster: those of its region, where a cache has several.
  derived  = "${var.prefix}-ray-models-${var.aws_account_id}"
  regional = [for name, region in var.bucket_regions : name if region == var.aws_region]
  buckets  = setunion(var.bucket_names, local.regional, var.derive_bucket_name ? [local.derived] : [])
  homes    = setsubtract(var.home_buckets, local.regional)

  bucket_arns = [for name in local.buckets : "arn:${local.partition}:s3:::${name}"]
  home_arns   = [for name in local.homes : "arn:${local.partition}:s3:::${name}"]

  # role -> who may take it
  identities = merge(
    var.prestage_role ? {
      writer = { namespace = var.namespace, service_accounts = [var.prestage_service_account] }
    } : {},
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

  # role -> buckets that it may read: the writer copies from the home bucket of a cache into that of its region
  readable = {
    writer = concat(local.bucket_arns, local.home_arns)
    csi    = local.bucket_arns
    reader = local.bucket_arns
  }

  # role -> keys of those buckets; a key is of one region
  own_key   = lookup(var.kms_key_arns, var.aws_region, var.kms_key_arn)
  home_keys = [for name in local.homes : lookup(var.kms_key_arns, var.bucket_regions[name], null)]

  kms_keys = {
    writer = distinct(compact(concat([local.own_key], local.home_keys)))
    csi    = compact([local.own_key])
    reader = compact([local.own_key])
  }

  # What the prestage program deletes again beside a model.
  notes = [".modelyard/progress.json", ".modelyard/held.json"]

  # role -> regions of those buckets
  regions = {
    writer = distinct(concat([var.aws_region], [for name in local.homes : var.bucket_regions[name]]))
    csi    = [var.aws_region]
    reader = [var.aws_region]
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
    resources = local.readable[each.key]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = [for prefix in local.reads[each.key] : "${prefix}/*"]
    }
  }

  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = [for pair in setproduct(local.readable[each.key], local.reads[each.key]) : "${pair[0]}/${pair[1]}/*"]
  }

  dynamic "statement" {
    for_each = length(local.kms_keys[each.key]) == 0 ? [] : [local.kms_keys[each.key]]

    content {
      sid       = "Decrypt"
      actions   = ["kms:Decrypt"]
      resources = statement.value

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = [for region in local.regions[each.key] : "s3.${region}.${data.aws_partition.current.dns_suffix}"]
      }
    }
  }
}

# No s3:DeleteObject on models: a revision is a new prefix, and nothing is swept from inside the cluster. Only the notes go:
# how far a run is, which a later one continues from, and that a copy waits for its load test.
data "aws_iam_policy_document" "write" {
  for_each = toset([for role in keys(local.identities) : role if role == "writer"])

  source_policy_documents = [data.aws_iam_policy_document.read[each.key].json]

  statement {
    sid       = "Write"
    actions   = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"]
    resources = [for arn in local.bucket_arns : "${arn}/models/*"]
  }

  statement {
    sid       = "DropNotes"
    actions   = ["s3:DeleteObject"]
    resources = [for pair in setproduct(local.bucket_arns, local.notes) : "${pair[0]}/models/*/${pair[1]}"]
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
    for_each = local.own_key == null ? [] : [local.own_key]

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
  policy = merge(data.aws_iam_policy_document.read, data.aws_iam_policy_document.write)[each.key].json
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
