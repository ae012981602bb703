"""Instance files in, manifests out."""
