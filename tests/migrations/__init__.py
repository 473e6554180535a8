"""The schema: what migrations make is what the models say, and they go both ways."""
