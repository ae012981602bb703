"""Runs every measurement."""

from __future__ import annotations

from bench import serving, synthesis

synthesis.main()
serving.main()
