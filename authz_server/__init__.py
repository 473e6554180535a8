"""Consent authorization server: an OpenID Provider that issues single-use tokens, one per dataset."""

__version__ = "0.1.0"
