"""Instance files: what a site changes without touching Python."""
