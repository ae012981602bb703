"""Runs every measurement."""

from __future__ import annotations

from bench import synthesis

synthesis.main()
