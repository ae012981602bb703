"""What a change does to the manifests, before it is applied: `make diff`."""
