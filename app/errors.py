"""What the app says about input that cannot work."""

from __future__ import annotations


class InputError(Exception):
    """Input that cannot work; its text is all that the user sees."""
