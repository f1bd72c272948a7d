# What has to run on the cluster before services do, where GitOps does not install it.

resource "helm_release" "kuberay_operator" {
  count = var.install_kuberay_operator ? 1 : 0

  name             = var.kuberay_operator.release
  repository       = var.kuberay_operator.repository
  chart            = var.kuberay_operator.chart
  version          = var.kuberay_operator.version
  namespace        = var.kuberay_operator.namespace
  create_namespace = true
  wait             = true
  timeout          = 600
  values           = [jsonencode(var.kuberay_operator.values)]

  # The system pool takes none but AKS's own pods.
  depends_on = [azurerm_kubernetes_cluster_node_pool.this]
}

# AKS installs the driver of the GPUs, and not the plugin that tells Kubernetes of them.
resource "helm_release" "device_plugin" {
  count = var.install_device_plugin && length(local.gpu_pools) > 0 ? 1 : 0

  name             = "nvidia-device-plugin"
  repository       = "https://nvidia.github.io/k8s-device-plugin"
  chart            = "nvidia-device-plugin"
  version          = var.device_plugin_version
  namespace        = "nvidia-device-plugin"
  create_namespace = true
  wait             = true
  timeout          = 600

  depends_on = [azurerm_kubernetes_cluster_node_pool.this]
}
