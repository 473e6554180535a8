"""The record: append-only, one entry for each edge that a request, a consent or a token goes through."""
