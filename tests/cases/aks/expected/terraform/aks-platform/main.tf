# An AKS cluster for model services: once per cluster.

locals {
  name = "${var.prefix}-${var.cluster}"

  # The application "Azure Kubernetes Service AAD Server", the same in every tenant.
  aks_server_id = "6dae42f8-4368-4678-94ff-3960e28e3630"

  make_network = var.subnet_id == null
  subnet_id    = local.make_network ? azurerm_subnet.nodes[0].id : var.subnet_id

  gpu_pools = [for name, pool in var.node_pools : name if length(pool.taints) > 0]

  # The name of a tag has no slash in Azure.
  tags = merge({ "modelyard.dev-managed-by" = "terraform" }, var.tags)
}

resource "azurerm_resource_group" "this" {
  name     = local.name
  location = var.location
  tags     = local.tags

  lifecycle {
    # One state per cluster: the variables of one cluster applied to the state of another would replace it.
    precondition {
      condition     = contains(["default", var.cluster], terraform.workspace)
      error_message = "The workspace belongs to another cluster than the variables; select the workspace ${var.cluster}."
    }
  }
}

resource "azurerm_virtual_network" "this" {
  count = local.make_network ? 1 : 0

  name                = local.name
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  address_space       = [var.network_cidr]
  tags                = local.tags
}

# Nodes only: pods have addresses of their own (overlay). The endpoint lets the vault know the nodes by their subnet.
resource "azurerm_subnet" "nodes" {
  #checkov:skip=CKV2_AZURE_31:AKS keeps a security group on the nodes, with the rules of each LoadBalancer; a second one here would block them
  count = local.make_network ? 1 : 0

  name                 = "nodes"
  resource_group_name  = azurerm_resource_group.this.name
  virtual_network_name = azurerm_virtual_network.this[0].name
  address_prefixes     = [var.network_cidr]

  service_endpoint {
    service = "Microsoft.KeyVault"
  }
}

# The control plane's own identity, so that it has its right on the subnet before there is a cluster: an internal
# LoadBalancer takes an address there.
resource "azurerm_user_assigned_identity" "control_plane" {
  name                = "${local.name}-control-plane"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  tags                = local.tags
}

resource "azurerm_role_assignment" "control_plane_network" {
  scope                            = local.subnet_id
  role_definition_name             = "Network Contributor"
  principal_id                     = azurerm_user_assigned_identity.control_plane.principal_id
  skip_service_principal_aad_check = true
}

resource "azurerm_kubernetes_cluster" "this" {
  #checkov:skip=CKV_AZURE_115:the API server is private where private_cluster says so; a public one needs authorized ranges
  #checkov:skip=CKV_AZURE_117:a key of your own is used where disk_encryption_set_id names one
  #checkov:skip=CKV_AZURE_226:images with weights need larger disks than the temporary ones of the sizes
  name                = local.name
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  dns_prefix          = local.name
  kubernetes_version  = var.kubernetes_version
  sku_tier            = var.sku_tier
  tags                = local.tags

  disk_encryption_set_id = var.disk_encryption_set_id

  # People and programs come with an identity of Entra; what they may do are roles of Azure.
  local_account_disabled            = true
  role_based_access_control_enabled = true

  azure_active_directory_role_based_access_control {
    tenant_id              = var.tenant_id
    azure_rbac_enabled     = true
    admin_group_object_ids = var.admin_group_object_ids
  }

  # Pods get credentials of Azure for their ServiceAccount, and no secret.
  oidc_issuer_enabled       = true
  workload_identity_enabled = true

  private_cluster_enabled = var.private_cluster
  run_command_enabled     = var.private_cluster

  dynamic "api_server_access_profile" {
    for_each = var.private_cluster ? [] : [var.api_server_authorized_ranges]

    content {
      authorized_ip_ranges = api_server_access_profile.value
    }
  }

  automatic_upgrade_channel = "patch"
  node_os_upgrade_channel   = "NodeImage"
  azure_policy_enabled      = true

  # An image with weights is large: those that no pod uses leave the nodes.
  image_cleaner_enabled        = true
  image_cleaner_interval_hours = 48

  # The pools are those of models.yaml; version 5 of the provider wants it said.
  node_provisioning_profile {
    mode = "Manual"
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.control_plane.id]
  }

  default_node_pool {
    name                         = "system"
    temporary_name_for_rotation  = "systemtmp"
    vm_size                      = var.system_pool.vm_size
    zones                        = var.system_pool.zones
    auto_scaling_enabled         = true
    min_count                    = var.system_pool.min_count
    max_count                    = var.system_pool.max_count
    max_pods                     = 110
    os_disk_size_gb              = 128
    vnet_subnet_id               = local.subnet_id
    only_critical_addons_enabled = true
    host_encryption_enabled      = var.host_encryption_enabled
    node_public_ip_enabled       = false
    tags                         = local.tags

    upgrade_settings {
      max_surge                = "33%"
      drain_timeout_in_minutes = 30
    }
  }

  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    network_data_plane  = var.network_policy
    network_policy      = var.network_policy
    load_balancer_sku   = "standard"
    outbound_type       = "loadBalancer"
    pod_cidr            = var.pod_cidr
    service_cidr        = var.service_cidr
    dns_service_ip      = cidrhost(var.service_cidr, 10)
  }

  # A node with a replica is never emptied to save money: pods of Ray have local storage.
  auto_scaler_profile {
    balance_similar_node_groups   = true
    max_graceful_termination_sec  = var.drain_timeout_minutes * 60
    scale_down_unneeded           = "10m"
    skip_nodes_with_local_storage = true
    skip_nodes_with_system_pods   = true
  }

  maintenance_window_auto_upgrade {
    frequency   = "Weekly"
    interval    = 1
    duration    = 4
    day_of_week = var.maintenance.day
    start_time  = var.maintenance.start
    utc_offset  = var.maintenance.utc_offset
  }

  maintenance_window_node_os {
    frequency   = "Weekly"
    interval    = 1
    duration    = 4
    day_of_week = var.maintenance.day
    start_time  = var.maintenance.start
    utc_offset  = var.maintenance.utc_offset
  }

  dynamic "key_vault_secrets_provider" {
    for_each = var.key_vault_name == null ? [] : [var.secret_rotation_interval]

    content {
      secret_rotation_enabled  = true
      secret_rotation_interval = key_vault_secrets_provider.value
    }
  }

  dynamic "oms_agent" {
    for_each = var.log_analytics_workspace_id == null ? [] : [var.log_analytics_workspace_id]

    content {
      log_analytics_workspace_id      = oms_agent.value
      msi_auth_for_monitoring_enabled = true
    }
  }

  # Before the right, the control plane could not join the subnet.
  depends_on = [azurerm_role_assignment.control_plane_network]
}

resource "azurerm_kubernetes_cluster_node_pool" "this" {
  for_each = var.node_pools

  name                        = each.key
  temporary_name_for_rotation = "${substr(each.key, 0, 9)}tmp"
  kubernetes_cluster_id       = azurerm_kubernetes_cluster.this.id
  mode                        = "User"
  vm_size                     = each.value.vm_size
  zones                       = each.value.zones
  auto_scaling_enabled        = true
  min_count                   = each.value.min_count
  max_count                   = each.value.max_count
  max_pods                    = 110
  os_disk_size_gb             = var.os_disk_size_gb
  vnet_subnet_id              = local.subnet_id
  node_labels                 = each.value.labels
  node_taints                 = each.value.taints
  host_encryption_enabled     = var.host_encryption_enabled
  node_public_ip_enabled      = false
  tags                        = local.tags

  upgrade_settings {
    max_surge                = "10%"
    drain_timeout_in_minutes = var.drain_timeout_minutes
  }
}
