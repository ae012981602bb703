"""Chores on the repository."""
