output "cluster_name" {
  description = "Name of the cluster in Azure, and of its resource group."
  value       = azurerm_kubernetes_cluster.this.name
}

output "credentials_command" {
  description = "Puts the cluster into your kubeconfig."
  value       = "az aks get-credentials --subscription ${var.subscription_id} --resource-group ${local.name} --name ${local.name} && kubelogin convert-kubeconfig -l azurecli"
}

output "oidc_issuer_url" {
  description = "Issuer of the tokens of ServiceAccounts."
  value       = azurerm_kubernetes_cluster.this.oidc_issuer_url
}

output "registry_servers" {
  description = "Registry to the address that images are pushed to."
  value       = { for name, registry in azurerm_container_registry.this : name => registry.login_server }
}

output "subnet_id" {
  description = "Subnet of the nodes, where internal LoadBalancers have their addresses."
  value       = local.subnet_id
}

output "node_pools" {
  description = "Node pool to its size and its bounds."
  value = {
    for name, pool in azurerm_kubernetes_cluster_node_pool.this :
    name => { vm_size = pool.vm_size, min_count = pool.min_count, max_count = pool.max_count }
  }
}

output "key_vault_uri" {
  description = "Address of the vault that Terraform made; null for none."
  value       = one(azurerm_key_vault.this[*].vault_uri)
}

output "key_vault_client_id" {
  description = "Identity of the services' pods: clusters[].keyVault.client of models.yaml; null without a vault."
  value       = one(azurerm_user_assigned_identity.services[*].client_id)
}
