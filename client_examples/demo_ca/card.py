"""What card software does: sign a text with the key of a card. Here the card is a PKCS #12 file."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7, pkcs12


def sign(card: bytes, password: str, text: str) -> bytes:
    """A detached CMS signature (RFC 5652) over the text, with the certificates in it, in PEM.

    Raises: ValueError: wrong password, or no card.
    """
    key, certificate, others = pkcs12.load_key_and_certificates(card, password.encode())
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate is None:
        raise ValueError("no key and certificate of this authority's kind in the file")
    builder = pkcs7.PKCS7SignatureBuilder().set_data(text.encode()).add_signer(certificate, key, hashes.SHA256())
    for other in others:
        builder = builder.add_certificate(other)
    return builder.sign(Encoding.PEM, [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.DetachedSignature])
