"""What a citizen takes to a counter: a barcode instead of a redirect, and a one-time code that goes with it."""
