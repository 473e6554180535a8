"""What the citizen is told."""
