# The buckets that hold the weights: once per account, whatever the number of clusters. A bucket is in `aws_region` unless
# `bucket_regions` says otherwise; AWS provider 6 takes the region per resource.

locals {
  derived = "${var.prefix}-ray-models-${var.aws_account_id}"
  buckets = setunion(var.bucket_names, keys(var.bucket_regions), var.derive_bucket_name ? [local.derived] : [])
  regions = { for name in local.buckets : name => lookup(var.bucket_regions, name, var.aws_region) }

  # bucket -> its KMS key, and where its access log goes: S3 wants both in the region of the bucket
  kms_keys = {
    for name, region in local.regions :
    name => lookup(var.kms_key_arns, region, region == var.aws_region ? var.kms_key_arn : null)
  }

  log_buckets = {
    for name, region in local.regions :
    name => lookup(var.log_buckets, region, region == var.aws_region ? var.log_bucket : null)
  }
}

resource "aws_s3_bucket" "models" {
  #checkov:skip=CKV_AWS_144:weights can be downloaded again; where a cache has regions, the prestage program copies
  #checkov:skip=CKV2_AWS_62:nothing listens to the bucket
  #checkov:skip=CKV_AWS_18:the server access log is written where log_bucket names a bucket
  #checkov:skip=CKV_AWS_145:a KMS key is used where kms_key_arn names one
  for_each = local.buckets

  region        = local.regions[each.key]
  bucket        = each.key
  force_destroy = false

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_ownership_controls" "models" {
  for_each = aws_s3_bucket.models

  region = each.value.region
  bucket = each.value.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "models" {
  for_each = aws_s3_bucket.models

  region                  = each.value.region
  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "models" {
  for_each = aws_s3_bucket.models

  region = each.value.region
  bucket = each.value.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "models" {
  for_each = aws_s3_bucket.models

  region = each.value.region
  bucket = each.value.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = local.kms_keys[each.key] == null ? "AES256" : "aws:kms"
      kms_master_key_id = local.kms_keys[each.key]
    }
  }
}

# No transition to an archive tier, ever: Mountpoint cannot read archived objects.
resource "aws_s3_bucket_lifecycle_configuration" "models" {
  for_each = aws_s3_bucket.models

  region = each.value.region
  bucket = each.value.id

  rule {
    id     = "abort-incomplete-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  rule {
    id     = "expire-noncurrent-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }
  }

  # Rules about versions need versioning to be on.
  depends_on = [aws_s3_bucket_versioning.models]
}

resource "aws_s3_bucket_logging" "models" {
  for_each = { for name, target in local.log_buckets : name => target if target != null }

  region        = local.regions[each.key]
  bucket        = aws_s3_bucket.models[each.key].id
  target_bucket = each.value
  target_prefix = "${each.key}/"
}

data "aws_iam_policy_document" "tls_only" {
  for_each = aws_s3_bucket.models

  statement {
    sid       = "DenyPlainHttp"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [each.value.arn, "${each.value.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "models" {
  for_each = aws_s3_bucket.models

  region = each.value.region
  bucket = each.value.id
  policy = data.aws_iam_policy_document.tls_only[each.key].json

  # Both change the bucket's policy state; at the same time S3 answers with a conflict.
  depends_on = [aws_s3_bucket_public_access_block.models]
}
