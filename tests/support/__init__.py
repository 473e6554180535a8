"""What several test packages need; no tests."""
