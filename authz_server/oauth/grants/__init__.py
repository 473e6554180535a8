"""The grants of the token endpoint."""
