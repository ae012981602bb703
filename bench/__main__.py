"""Runs every measurement."""

from __future__ import annotations

from bench import recording, serving, synthesis

synthesis.main()
serving.main()
recording.main()
