# The Key Vault of the services' secrets, and the identity by which their pods read it.

locals {
  use_vault  = var.key_vault_name != null
  make_vault = local.use_vault && var.key_vault_resource_group == null
  vault_id   = one(concat(azurerm_key_vault.this[*].id, data.azurerm_key_vault.existing[*].id))
}

resource "azurerm_key_vault" "this" {
  #checkov:skip=CKV2_AZURE_32:the nodes come by the service endpoint of their subnet, and the default is to deny
  count = local.make_vault ? 1 : 0

  name                       = var.key_vault_name
  location                   = azurerm_resource_group.this.location
  resource_group_name        = azurerm_resource_group.this.name
  tenant_id                  = var.tenant_id
  sku_name                   = var.key_vault_sku
  rbac_authorization_enabled = true
  purge_protection_enabled   = true
  soft_delete_retention_days = var.soft_delete_retention_days
  tags                       = local.tags

  network_acls {
    default_action             = var.key_vault_default_action
    bypass                     = "AzureServices"
    ip_rules                   = var.key_vault_ip_rules
    virtual_network_subnet_ids = [local.subnet_id]
  }
}

data "azurerm_key_vault" "existing" {
  count = local.use_vault && !local.make_vault ? 1 : 0

  name                = var.key_vault_name
  resource_group_name = var.key_vault_resource_group
}

resource "azurerm_user_assigned_identity" "services" {
  count = local.use_vault ? 1 : 0

  name                = "${local.name}-services"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  tags                = local.tags
}

# Only these ServiceAccounts of this cluster take the identity.
resource "azurerm_federated_identity_credential" "services" {
  for_each = local.use_vault ? var.service_accounts : []

  name                      = "${var.namespace}-${each.key}"
  user_assigned_identity_id = azurerm_user_assigned_identity.services[0].id
  issuer                    = azurerm_kubernetes_cluster.this.oidc_issuer_url
  subject                   = "system:serviceaccount:${var.namespace}:${each.key}"
  audience                  = ["api://AzureADTokenExchange"]
}

resource "azurerm_role_assignment" "secrets_user" {
  count = local.use_vault ? 1 : 0

  scope                            = local.vault_id
  role_definition_name             = "Key Vault Secrets User"
  principal_id                     = azurerm_user_assigned_identity.services[0].principal_id
  skip_service_principal_aad_check = true
}

# Who writes the secrets: Terraform does not, so that no secret is in its state.
resource "azurerm_role_assignment" "secrets_officer" {
  for_each = local.make_vault ? var.secrets_officer_object_ids : []

  scope                = local.vault_id
  role_definition_name = "Key Vault Secrets Officer"
  principal_id         = each.key
}

check "client_id" {
  assert {
    condition     = !local.use_vault || one(azurerm_user_assigned_identity.services[*].client_id) == var.key_vault_client_id
    error_message = "models.yaml has another identity: put the output key_vault_client_id at clusters[].keyVault.client and render again."
  }
}
