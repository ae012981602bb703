"""Argo CD: an Application for each instance, and the root that creates and removes them."""
