"""Tests of what the tracking server takes."""
