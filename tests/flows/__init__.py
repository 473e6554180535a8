"""Whole journeys, across rooms and processes."""
