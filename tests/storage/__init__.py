"""Where runs are stored."""
