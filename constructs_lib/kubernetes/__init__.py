"""Rules of Kubernetes, with no Aim in them."""
