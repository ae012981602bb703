"""Prepares releases: `make release VERSION=0.2.0`."""
