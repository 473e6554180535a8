"""Barcodes, one-time codes, desks."""
