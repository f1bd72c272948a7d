variable "aws_account_id" {
  description = "Account that holds the buckets; a run with credentials of another account is refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.aws_account_id))
    error_message = "An AWS account id has 12 digits."
  }
}

variable "aws_region" {
  description = "Region of the buckets that have none of their own; the one of the clusters, so that mounts stay inside it."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", var.aws_region))
    error_message = "This is no AWS region, such as us-west-2."
  }
}

variable "prefix" {
  description = "Prefix of cloud resources, `resource_prefix` of the GitOps Bridge; part of the derived bucket name."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([-a-z0-9]{0,30}[a-z0-9])?$", var.prefix))
    error_message = "The prefix takes 1 to 32 of a-z, 0-9 and `-`, a letter first."
  }
}

variable "derive_bucket_name" {
  description = "Whether to make the bucket <prefix>-ray-models-<account>, for caches that name none."
  type        = bool
  default     = true
}

variable "bucket_names" {
  description = "Buckets that caches name."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.bucket_names : can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", name))])
    error_message = "A bucket name takes 3 to 63 of a-z, 0-9 and `-`."
  }
}

variable "bucket_regions" {
  description = "Bucket to its region, for caches with a bucket in each of several regions."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.bucket_regions) : can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", name))])
    error_message = "A bucket name takes 3 to 63 of a-z, 0-9 and `-`."
  }

  validation {
    condition     = alltrue([for region in values(var.bucket_regions) : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", region))])
    error_message = "This is no AWS region, such as us-west-2."
  }
}

variable "kms_key_arn" {
  description = "KMS key of the buckets in aws_region (SSE-KMS with a bucket key); keys of S3 (AES256) when null."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "Give the ARN of a KMS key, not of an alias."
  }
}

variable "kms_key_arns" {
  description = "Region to the KMS key of the buckets there, for other regions than aws_region."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for arn in values(var.kms_key_arns) : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", arn))])
    error_message = "Give the ARN of a KMS key, not of an alias."
  }
}

variable "noncurrent_days" {
  description = "Days that an overwritten or deleted object version is kept."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "Whole days, at least 1."
  }
}

variable "log_bucket" {
  description = "Bucket that receives the server access log of the buckets in aws_region; no log when null."
  type        = string
  default     = null
}

variable "log_buckets" {
  description = "Region to the bucket that receives the server access log of the buckets there, for other regions than aws_region."
  type        = map(string)
  default     = {}
}

variable "tags" {
  description = "Further tags of every resource."
  type        = map(string)
  default     = {}
}
