"""The desk of an office's counter; see README.md."""
