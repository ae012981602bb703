"""The Aim server, put together."""
