# Registries of the images that pods on the cluster run, and who may pull and push.

resource "azurerm_container_registry" "this" {
  #checkov:skip=CKV_AZURE_139:CI pushes from outside of the network; nobody is let in without an identity of Entra
  #checkov:skip=CKV_AZURE_164:content trust signs tags, and services name images by digest
  #checkov:skip=CKV_AZURE_165:images are built again from models.yaml and its lock; one region serves the cluster
  #checkov:skip=CKV_AZURE_166:quarantine holds images back until somebody's scanner lets them go
  #checkov:skip=CKV_AZURE_167:services name images by digest, so one without a tag may still serve
  #checkov:skip=CKV_AZURE_233:Premium ones, those of production, are in several zones
  for_each = var.registries

  name                    = each.key
  location                = azurerm_resource_group.this.location
  resource_group_name     = azurerm_resource_group.this.name
  sku                     = var.registry_sku
  admin_enabled           = false
  anonymous_pull_enabled  = false
  zone_redundancy_enabled = var.registry_sku == "Premium" && var.registry_zone_redundancy
  data_endpoint_enabled   = var.registry_sku == "Premium"
  tags                    = local.tags

  lifecycle {
    # Services run what is in it, maybe on other clusters, too.
    prevent_destroy = true
  }
}

data "azurerm_container_registry" "existing" {
  for_each = var.existing_registries

  name                = each.key
  resource_group_name = each.value
}

locals {
  registry_ids = merge(
    { for name, registry in azurerm_container_registry.this : name => registry.id },
    { for name, registry in data.azurerm_container_registry.existing : name => registry.id },
  )

  # registry/principal -> both, for those that Terraform makes
  pushes = {
    for pair in setproduct(var.registries, var.ci_principal_ids) :
    "${pair[0]}/${pair[1]}" => { registry = pair[0], principal = pair[1] }
  }
}

# Without it kubelets are answered 401, and pods stay in ImagePullBackOff.
resource "azurerm_role_assignment" "pull" {
  for_each = local.registry_ids

  scope                            = each.value
  role_definition_name             = "AcrPull"
  principal_id                     = azurerm_kubernetes_cluster.this.kubelet_identity[0].object_id
  skip_service_principal_aad_check = true
}

# Who builds the images: nobody on the cluster may push.
resource "azurerm_role_assignment" "push" {
  for_each = local.pushes

  scope                            = local.registry_ids[each.value.registry]
  role_definition_name             = "AcrPush"
  principal_id                     = each.value.principal
  skip_service_principal_aad_check = true
}
