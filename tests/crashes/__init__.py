"""Real servers on real sockets: raced, and killed at every edge of a token's life."""
