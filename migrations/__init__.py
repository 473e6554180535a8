"""Versions of the schema, in order; see env.py."""
