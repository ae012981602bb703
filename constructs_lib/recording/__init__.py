"""Training pods: recording over the volume and over the network."""
