"""Is this certificate one that we trust, now, and does whoever is here hold its key? No web framework, no database.

    cms.signer          a signature over our challenge -> the certificate that made it, and those that came with it
    client_cert.read    what a TLS-terminating proxy hands over (after RFC 9440) -> likewise
    trust.Trust.chain   from that certificate up to a configured anchor (RFC 5280 section 6)
    revocation.Checker  nobody in the chain is revoked: OCSP (RFC 6960) or CRL (RFC 5280 section 6.3)

Whose certificate it is, is not decided here: that is the business of whoever keeps the accounts.
"""
