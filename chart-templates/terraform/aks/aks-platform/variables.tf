variable "subscription_id" {
  description = "Subscription that holds the cluster."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.subscription_id))
    error_message = "A subscription id is a UUID in lower case."
  }
}

variable "tenant_id" {
  description = "Entra tenant of the subscription, of the cluster's users and of the vault."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.tenant_id))
    error_message = "A tenant id is a UUID in lower case."
  }
}

variable "location" {
  description = "Region of Azure, such as westeurope; it needs quota for the sizes in node_pools."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]+$", var.location))
    error_message = "Write the region as Azure's programs do: westeurope, not West Europe."
  }
}

variable "admin_group_object_ids" {
  description = "Entra groups whose members administer the cluster; who runs Terraform has to be in one where it installs software."
  type        = set(string)

  validation {
    condition     = length(var.admin_group_object_ids) > 0
    error_message = "Without a group nobody could administer the cluster: it has no local accounts."
  }
}

variable "api_server_authorized_ranges" {
  description = "Networks that reach the API server, as CIDR; empty with private_cluster. `0.0.0.0/0` says that everybody may."
  type        = set(string)

  validation {
    condition     = alltrue([for range in var.api_server_authorized_ranges : can(cidrhost(range, 0))])
    error_message = "Give networks as CIDR, such as 203.0.113.0/24."
  }

  validation {
    condition     = var.private_cluster == (length(var.api_server_authorized_ranges) == 0)
    error_message = "A public API server needs authorized ranges, and a private one has none."
  }
}

variable "private_cluster" {
  description = "Whether the API server has an address inside the network only; Terraform then has to run where it reaches that."
  type        = bool
  default     = false
}

variable "cluster" {
  description = "Name of the cluster in models.yaml."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([-a-z0-9]*[a-z0-9])?$", var.cluster))
    error_message = "The name takes a-z, 0-9 and `-`, a letter first."
  }

  validation {
    condition     = length("${var.prefix}-${var.cluster}") <= 54
    error_message = "The DNS prefix <prefix>-<cluster> must have 54 characters at most."
  }
}

variable "prefix" {
  description = "Prefix of cloud resources."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([-a-z0-9]{0,30}[a-z0-9])?$", var.prefix))
    error_message = "The prefix takes 1 to 32 of a-z, 0-9 and `-`, a letter first."
  }
}

variable "namespace" {
  description = "Namespace of the services."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "A namespace takes 1 to 63 of a-z, 0-9 and `-`."
  }
}

variable "sku_tier" {
  description = "Tier of the control plane; Free has no agreement on its availability."
  type        = string
  default     = "Standard"

  validation {
    condition     = contains(["Free", "Standard", "Premium"], var.sku_tier)
    error_message = "Free, Standard or Premium."
  }
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes, such as 1.34; AKS's recommended one when null. Patches come by themselves."
  type        = string
  default     = null

  validation {
    condition     = var.kubernetes_version == null || can(regex("^1\\.[0-9]+$", var.kubernetes_version))
    error_message = "Give the minor version only: patches come by themselves."
  }
}

variable "maintenance" {
  description = "When AKS may upgrade the cluster and its nodes: four hours once a week."
  type = object({
    day        = string
    start      = string
    utc_offset = string
  })
  default = {
    day        = "Sunday"
    start      = "02:00"
    utc_offset = "+00:00"
  }

  validation {
    condition     = contains(["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"], var.maintenance.day)
    error_message = "A day of the week, such as Sunday."
  }

  validation {
    condition     = can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]$", var.maintenance.start))
    error_message = "A time of day, such as 02:00."
  }
}

variable "system_pool" {
  description = "Nodes of AKS's own pods; nothing else runs there."
  type = object({
    vm_size   = string
    min_count = number
    max_count = number
    zones     = optional(set(string), [])
  })

  validation {
    condition     = 1 <= var.system_pool.min_count && var.system_pool.min_count <= var.system_pool.max_count
    error_message = "At least one node, and no more than max_count."
  }
}

variable "node_pools" {
  description = "Pool to its nodes, which come and go with the pods. The sizes are Azure's; a pool with taints is one of GPUs."
  type = map(object({
    vm_size   = string
    min_count = number
    max_count = number
    zones     = optional(set(string), [])
    labels    = optional(map(string), {})
    taints    = optional(list(string), [])
  }))

  validation {
    condition     = alltrue([for name in keys(var.node_pools) : can(regex("^[a-z][a-z0-9]{0,11}$", name))])
    error_message = "The name of a pool takes 1 to 12 of a-z and 0-9, a letter first."
  }

  validation {
    condition     = alltrue([for pool in values(var.node_pools) : 0 <= pool.min_count && pool.min_count <= pool.max_count])
    error_message = "min_count is 0 or more, and no more than max_count."
  }

  validation {
    condition     = anytrue([for pool in values(var.node_pools) : length(pool.taints) == 0 && pool.max_count > 0])
    error_message = "One pool has to be without taints: operators and heads run there."
  }
}

variable "os_disk_size_gb" {
  description = "Disk of a node in the pools; images with weights have to fit, the one of an update beside the one that serves."
  type        = number
  default     = 128

  validation {
    condition     = 64 <= var.os_disk_size_gb && var.os_disk_size_gb <= 2048
    error_message = "64 to 2048 GB."
  }
}

variable "drain_timeout_minutes" {
  description = "How long an upgrade waits until the pods of a node are gone; replicas finish what they answer."
  type        = number
  default     = 30

  validation {
    condition     = 1 <= var.drain_timeout_minutes && var.drain_timeout_minutes <= 1440
    error_message = "1 to 1440 minutes."
  }
}

variable "host_encryption_enabled" {
  description = "Whether disks and caches are encrypted on the host, too; the subscription needs the feature Microsoft.Compute/EncryptionAtHost."
  type        = bool
  default     = true
}

variable "disk_encryption_set_id" {
  description = "Disk encryption set with a key of your own for disks and volumes; Azure's keys when null."
  type        = string
  default     = null
}

variable "subnet_id" {
  description = "Subnet that there is already, with the service endpoint Microsoft.KeyVault; null makes a network."
  type        = string
  default     = null

  validation {
    condition     = var.subnet_id == null || can(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Network/virtualNetworks/[^/]+/subnets/[^/]+$", var.subnet_id))
    error_message = "Give the resource id of a subnet."
  }
}

variable "network_cidr" {
  description = "Addresses of the network that is made: one for each node, and for internal LoadBalancers."
  type        = string
  default     = "10.224.0.0/20"

  validation {
    condition     = can(cidrhost(var.network_cidr, 16))
    error_message = "A network as CIDR, such as 10.224.0.0/20."
  }
}

variable "pod_cidr" {
  description = "Addresses of pods; they are known inside the cluster only."
  type        = string
  default     = "10.244.0.0/16"

  validation {
    condition     = can(cidrhost(var.pod_cidr, 0))
    error_message = "A network as CIDR, such as 10.244.0.0/16."
  }
}

variable "service_cidr" {
  description = "Addresses of Services; apart from network_cidr, pod_cidr and every network that is connected."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrhost(var.service_cidr, 10))
    error_message = "A network as CIDR, such as 10.0.0.0/16."
  }
}

variable "network_policy" {
  description = "What enforces NetworkPolicies."
  type        = string
  default     = "cilium"

  validation {
    condition     = contains(["cilium", "azure"], var.network_policy)
    error_message = "cilium or azure."
  }
}

variable "log_analytics_workspace_id" {
  description = "Workspace for the logs of containers; null for none."
  type        = string
  default     = null
}

variable "registries" {
  description = "Registries to make, by name, which is unique in Azure: those of the images that run here."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.registries : can(regex("^[a-z0-9]{5,50}$", name))])
    error_message = "The name of a registry takes 5 to 50 of a-z and 0-9."
  }
}

variable "existing_registries" {
  description = "Registries that the nodes pull from, too, to their resource groups."
  type        = map(string)
  default     = {}
}

variable "registry_sku" {
  description = "Kind of the registries; Premium has zones, private links and more throughput."
  type        = string
  default     = "Standard"

  validation {
    condition     = contains(["Basic", "Standard", "Premium"], var.registry_sku)
    error_message = "Basic, Standard or Premium."
  }
}

variable "registry_zone_redundancy" {
  description = "Whether a Premium registry is kept in several zones, where the region has them."
  type        = bool
  default     = true
}

variable "ci_principal_ids" {
  description = "Object ids of the service principals or managed identities that build images: they may push, and pull."
  type        = set(string)
  default     = []
}

variable "key_vault_name" {
  description = "Vault of the services' secrets; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.key_vault_name == null || can(regex("^[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]$", var.key_vault_name))
    error_message = "The name of a vault takes 3 to 24 letters, digits and `-`, a letter first."
  }
}

variable "key_vault_resource_group" {
  description = "Resource group of a vault that there is already; null makes the vault."
  type        = string
  default     = null
}

variable "key_vault_client_id" {
  description = "Identity that models.yaml names; compared with the one that is made."
  type        = string
  default     = null
}

variable "key_vault_sku" {
  description = "Kind of the vault; premium keeps keys in hardware."
  type        = string
  default     = "standard"

  validation {
    condition     = contains(["standard", "premium"], var.key_vault_sku)
    error_message = "standard or premium."
  }
}

variable "key_vault_default_action" {
  description = "Deny: only the nodes' subnet, key_vault_ip_rules and services that Azure trusts reach the vault."
  type        = string
  default     = "Deny"

  validation {
    condition     = contains(["Deny", "Allow"], var.key_vault_default_action)
    error_message = "Deny or Allow."
  }
}

variable "key_vault_ip_rules" {
  description = "Public networks, as CIDR, of the people who write the secrets."
  type        = set(string)
  default     = []
}

variable "soft_delete_retention_days" {
  description = "Days that a deleted secret or vault can be restored; fixed when the vault is made."
  type        = number
  default     = 90

  validation {
    condition     = 7 <= var.soft_delete_retention_days && var.soft_delete_retention_days <= 90
    error_message = "7 to 90 days."
  }
}

variable "secrets_officer_object_ids" {
  description = "Object ids of the people or groups who write secrets into the vault."
  type        = set(string)
  default     = []
}

variable "secret_rotation_interval" {
  description = "How often the nodes look for new versions of the secrets."
  type        = string
  default     = "2m"

  validation {
    condition     = can(regex("^[1-9][0-9]*[smh]$", var.secret_rotation_interval))
    error_message = "A duration, such as 2m."
  }
}

variable "service_accounts" {
  description = "ServiceAccounts of the services whose pods read the vault."
  type        = set(string)
  default     = []

  validation {
    condition     = length(var.service_accounts) <= 20
    error_message = "Azure lets 20 ServiceAccounts take one identity."
  }
}

variable "install_kuberay_operator" {
  description = "Whether Terraform installs the KubeRay operator; false where Argo CD does."
  type        = bool
}

variable "kuberay_operator" {
  description = "Chart of the KubeRay operator, its version and its values."
  type = object({
    repository = string
    chart      = string
    version    = string
    namespace  = string
    release    = string
    values     = any
  })
}

variable "install_device_plugin" {
  description = "Whether to install NVIDIA's device plugin where there are GPU pools; false where the GPU operator does."
  type        = bool
  default     = true
}

variable "device_plugin_version" {
  description = "Version of the chart nvidia-device-plugin."
  type        = string
  default     = "0.18.2"
}

variable "kubelogin_login" {
  description = "How kubelogin gets credentials where Terraform runs."
  type        = string
  default     = "azurecli"

  validation {
    condition     = contains(["azurecli", "azd", "devicecode", "msi", "spn", "workloadidentity"], var.kubelogin_login)
    error_message = "azurecli, azd, devicecode, msi, spn or workloadidentity."
  }
}

variable "tags" {
  description = "Further tags of every resource."
  type        = map(string)
  default     = {}
}
