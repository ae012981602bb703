"""Who may come in, and what a pod may reach."""
