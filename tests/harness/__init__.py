"""What tests and bench share: pods in namespaces of Linux, the real Aim, and rules for manifests."""
