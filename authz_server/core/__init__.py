"""Pure kernel: time, randomness, names, errors, JOSE, DPoP, outgoing HTTP, log lines. No Flask, SQLAlchemy, Authlib."""
