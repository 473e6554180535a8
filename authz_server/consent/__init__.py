"""From the pushed request to the citizen's decision."""
