"""Measurements, side by side and as ratios: `make bench`. Nothing here is a test."""
