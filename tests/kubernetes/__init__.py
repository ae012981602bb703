"""Rules of Kubernetes."""
