"""Copies of the repository, and the way back."""
