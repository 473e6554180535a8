"""Access tokens and dataset tokens: issued, spent, released, revoked. One statement decides each."""
