"""Makes a Kubernetes of one node on this machine; README.md tells more."""
