"""What may be used once is spent by one statement, with its entry in the record and the identifiers it came with."""
