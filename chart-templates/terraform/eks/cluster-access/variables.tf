variable "aws_account_id" {
  description = "Account of the cluster; a run with credentials of another account is refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.aws_account_id))
    error_message = "An AWS account id has 12 digits."
  }
}

variable "aws_region" {
  description = "Region of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", var.aws_region))
    error_message = "This is no AWS region, such as us-west-2."
  }
}

variable "aws_cluster_name" {
  description = "Name of the cluster in EKS."
  type        = string

  validation {
    condition     = can(regex("^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$", var.aws_cluster_name))
    error_message = "An EKS cluster name takes 1 to 100 letters, digits, `-` and `_`."
  }
}

variable "cluster" {
  description = "Name of the cluster in models.yaml; part of the role names, which are unique in the account."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([-a-z0-9]*[a-z0-9])?$", var.cluster))
    error_message = "The name takes a-z, 0-9 and `-`, a letter first."
  }

  validation {
    condition     = length("${var.prefix}-${var.cluster}-model-writer") <= 64
    error_message = "The role name <prefix>-<cluster>-model-writer must have 64 characters at most."
  }
}

variable "prefix" {
  description = "Prefix of cloud resources, `resource_prefix` of the GitOps Bridge."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([-a-z0-9]{0,30}[a-z0-9])?$", var.prefix))
    error_message = "The prefix takes 1 to 32 of a-z, 0-9 and `-`, a letter first."
  }
}

variable "derive_bucket_name" {
  description = "Whether the cluster uses the bucket <prefix>-ray-models-<account>."
  type        = bool
  default     = true
}

variable "bucket_names" {
  description = "Buckets that caches name, whatever the region of the cluster."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.bucket_names : can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", name))])
    error_message = "A bucket name takes 3 to 63 of a-z, 0-9 and `-`."
  }
}

variable "bucket_regions" {
  description = "Bucket to its region, for caches with a bucket in each of several regions; the cluster uses those of its own."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(var.bucket_regions) == 0 || contains(values(var.bucket_regions), var.aws_region)
    error_message = "No cache has a bucket in the region of this cluster."
  }
}

variable "home_buckets" {
  description = "Buckets among bucket_regions that get the models from the Hub; in other regions the prestage Jobs copy from them."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.home_buckets : contains(keys(var.bucket_regions), name)])
    error_message = "A home bucket is one of bucket_regions."
  }
}

variable "notification_topic_arn" {
  description = "SNS topic that the prestage Jobs publish to; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.notification_topic_arn == null || can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", var.notification_topic_arn))
    error_message = "Give the ARN of a standard SNS topic."
  }
}

variable "kms_key_arn" {
  description = "KMS key of the buckets in aws_region, the same as in model-bucket; null when S3 encrypts with its own keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "Give the ARN of a KMS key, not of an alias."
  }
}

variable "kms_key_arns" {
  description = "Region to the KMS key of the buckets there, the same as in model-bucket."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for arn in values(var.kms_key_arns) : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", arn))])
    error_message = "Give the ARN of a KMS key, not of an alias."
  }
}

variable "namespace" {
  description = "Namespace of the prestage Jobs and of the services."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "A namespace takes 1 to 63 of a-z, 0-9 and `-`."
  }
}

variable "prestage_role" {
  description = "Whether Jobs stage models here and need a role; false where Workflows do, whose kro definition makes roles of its own."
  type        = bool
  default     = true
}

variable "prestage_service_account" {
  description = "ServiceAccount of the prestage Jobs; the only one that may write."
  type        = string
}

variable "driver_credentials" {
  description = "Whether the S3 CSI driver mounts with its own role; false where every cache has `credentials: pod`, or where the platform gives the driver a role."
  type        = bool
  default     = true
}

variable "csi_service_account" {
  description = "Namespace and ServiceAccount of the node part of the S3 CSI driver."
  type = object({
    namespace = string
    name      = string
  })
  default = {
    namespace = "kube-system"
    name      = "s3-csi-driver-sa"
  }
}

variable "service_accounts" {
  description = "ServiceAccounts of services that read the buckets with an identity of their own."
  type        = set(string)
  default     = []
}

variable "read_code" {
  description = "Whether services fetch their code from the buckets, under `code/`."
  type        = bool
  default     = false
}

variable "install_pod_identity_agent" {
  description = "Whether to install the EKS add-on that hands out Pod Identity credentials; EKS Auto Mode has it built in."
  type        = bool
  default     = false
}

variable "install_s3_csi_driver" {
  description = "Whether to install the S3 CSI driver as an EKS add-on; false where GitOps installs it."
  type        = bool
  default     = false
}

variable "addon_versions" {
  description = "EKS add-on name to version; the default of the cluster's Kubernetes version for what is left out."
  type        = map(string)
  default     = {}
}

variable "tags" {
  description = "Further tags of every resource."
  type        = map(string)
  default     = {}
}
