"""What only a cluster can show; `make e2e` runs it on the cluster of KUBECONFIG."""
