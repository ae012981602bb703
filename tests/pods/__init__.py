"""What every pod has in common."""
