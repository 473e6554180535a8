"""Accounts, sessions, lock-outs and the sign-in, on both databases."""
