"""Files that people take home and anybody can verify: to read, and signed, in one.

    {"<kind>": {...}, "jws": "<the same, signed>", "jwks_uri": "<where the keys are>"}

There is one way to write each, so that every octet counts: a file is genuine if its signature is, and if it is exactly
what the platform writes for that. The signed part alone, a compact JWS, is genuine as well.

A PDF has a last line, which readers of PDF skip, for it is a comment behind the end of the document:

    %mydata-signature <JWS of the SHA-256 of all octets before this line>
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Literal

import orjson

from authz_server.core import jose
from authz_server.core.errors import DomainError
from authz_server.core.jose import BadToken, Key, KeyNotFound, KeySet

Kind = Literal["receipt", "record", "pdf"]
TYP_OF: Final[Mapping[Kind, str]] = MappingProxyType(
    {"receipt": "mydata-receipt+jwt", "record": "mydata-record+jwt", "pdf": "mydata-receipt-pdf+jwt"}
)
MAX_BYTES: Final = 64 * 1024 * 1024
_COMPACT: Final = re.compile(rb"[\w-]+\.[\w-]+\.[\w-]+")

_PDF: Final = b"%PDF-"
# Short, for some readers of PDF want to find the end of the document within the last kilobyte.
_PDF_SIGNED: Final = re.compile(rb"(.*\n)%mydata-signature ([\w-]+\.[\w-]+\.[\w-]+)\n", re.DOTALL)

# What is wrong with a file. form: it is none of ours; key: its issuer has published no such key; signature: it does not
# fit what is signed; text: what is there to read is not what is signed; issuer: it is another's.
Cause = Literal["form", "key", "signature", "text", "issuer"]


class NotGenuine(DomainError):
    """A file that is not, or not any more, what a platform signed. `cause` says what is wrong with it."""

    code = "not_genuine"
    public = "The file is not genuine."

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause


@dataclass(frozen=True, kw_only=True)
class Genuine:
    """What was verified: what kind of file it is, what it says, whose signature it has, by which key, and when."""

    kind: Kind
    claims: Mapping[str, Any]
    issuer: str
    kid: str
    signed_at: datetime


def seal(kind: Kind, claims: dict[str, Any], key: Key) -> bytes:
    """Return the file. `claims` have `iss` and `iat`; `key` is the issuer's, for `jose.OWN_ALG`."""
    return _written(kind, claims, jose.sign(claims, key, typ=TYP_OF[kind]))


def seal_pdf(octets: bytes, claims: dict[str, Any], key: Key) -> bytes:
    """Return the PDF with a line more, its signature. `claims` have `iss`, `iat` and `receipt_id`; `key` as above."""
    token = jose.sign(claims | {"pdf_sha256": hashlib.sha256(octets).hexdigest()}, key, typ=TYP_OF["pdf"])
    return octets + f"%mydata-signature {token}\n".encode("ascii")


def verify(octets: bytes, keys: KeySet, *, issuer: str | None = None) -> Genuine:
    """Verify a file, or its signed part alone, with the published keys of its issuer.

    Args: issuer: whose it must be; None: whoever published the keys.
    Raises: NotGenuine.
    """
    if len(octets) > MAX_BYTES:
        raise NotGenuine("form", "too large")
    if octets.startswith(_PDF):
        return _verified_pdf(octets, keys, issuer)
    token = octets.decode("ascii") if _COMPACT.fullmatch(octets) else _token_of(octets)
    genuine = _verified(token, keys, issuer)
    if genuine.kind == "pdf":
        raise NotGenuine("form", "the signature of a PDF, without the PDF")
    if octets != token.encode() and octets != _written(genuine.kind, genuine.claims, token):
        raise NotGenuine("text", "the readable part is not what is signed")
    return genuine


def _verified_pdf(octets: bytes, keys: KeySet, issuer: str | None) -> Genuine:
    found = _PDF_SIGNED.fullmatch(octets)
    if found is None:
        raise NotGenuine("form", "a PDF without a signature")
    genuine = _verified(found[2].decode("ascii"), keys, issuer)
    if genuine.kind != "pdf":
        raise NotGenuine("form", "the signature of something else")
    if hashlib.sha256(found[1]).hexdigest() != genuine.claims.get("pdf_sha256"):
        raise NotGenuine("text", "the PDF is not what is signed")
    return genuine


def _written(kind: Kind, claims: Mapping[str, Any], token: str) -> bytes:
    document = {kind: claims, "jws": token, "jwks_uri": f"{claims['iss']}/jwks"}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _token_of(octets: bytes) -> str:
    try:
        document = orjson.loads(octets)
    except orjson.JSONDecodeError:
        raise NotGenuine("form", "neither JSON nor a JWS") from None
    token = document.get("jws") if isinstance(document, dict) else None
    if not isinstance(token, str):
        raise NotGenuine("form", "without a signature")
    return token


def _verified(token: str, keys: KeySet, issuer: str | None) -> Genuine:
    kind = _kind_of(token)
    try:
        found = jose.verify(token, keys, algorithms=(jose.OWN_ALG,), typ=TYP_OF[kind], max_bytes=len(token))
    except KeyNotFound as error:
        raise NotGenuine("key", error.detail) from None
    except BadToken as error:
        raise NotGenuine("signature", error.detail) from None
    claims = found.claims
    if not isinstance(claims.get("iss"), str) or not isinstance(claims.get("iat"), int):
        raise NotGenuine("form", "without issuer or time")
    try:
        signed_at = datetime.fromtimestamp(claims["iat"], UTC)
    except (ValueError, OverflowError, OSError):
        raise NotGenuine("form", "a time that no clock shows") from None
    if issuer is not None and claims["iss"] != issuer:
        raise NotGenuine("issuer", "another issuer's")
    return Genuine(
        kind=kind,
        claims=claims,
        issuer=claims["iss"],
        kid=found.key.kid,
        signed_at=signed_at,
    )


def _kind_of(token: str) -> Kind:
    try:
        typ = jose.unverified(token, max_bytes=len(token)).header.get("typ")
    except BadToken as error:
        raise NotGenuine("signature", error.detail) from None
    kind = next((kind for kind in TYP_OF if TYP_OF[kind] == typ), None)
    if kind is None:
        raise NotGenuine("form", "signed, but no receipt and no record")
    return kind
