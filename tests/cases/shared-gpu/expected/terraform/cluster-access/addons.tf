resource "aws_eks_addon" "pod_identity_agent" {
  count = var.install_pod_identity_agent ? 1 : 0

  cluster_name  = var.aws_cluster_name
  addon_name    = "eks-pod-identity-agent"
  addon_version = lookup(var.addon_versions, "eks-pod-identity-agent", null)
}

resource "aws_eks_addon" "s3_csi_driver" {
  count = var.install_s3_csi_driver ? 1 : 0

  cluster_name  = var.aws_cluster_name
  addon_name    = "aws-mountpoint-s3-csi-driver"
  addon_version = lookup(var.addon_versions, "aws-mountpoint-s3-csi-driver", null)

  # Pods that start before the association keep running without credentials.
  depends_on = [aws_eks_addon.pod_identity_agent, aws_eks_pod_identity_association.this]
}
