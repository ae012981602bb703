"""Complete charts that reuse the constructs; `python -m examples.shared_volume` writes one into `dist/`."""
