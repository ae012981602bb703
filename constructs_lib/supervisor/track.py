"""Aim's tracking server."""

from __future__ import annotations

import argparse

from . import Refusal


def track(options: argparse.Namespace) -> None:
    """Refuse, until the role is rebuilt on `supervision`."""
    raise Refusal(f"no tracking server for {options.repository} yet")


accept = track
