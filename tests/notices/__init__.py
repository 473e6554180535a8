"""Telling citizens: what, by which channel, once."""
