"""An authority that issues test cards, and says which of them are revoked."""
