"""Training pods."""
