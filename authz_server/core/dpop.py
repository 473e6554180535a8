"""DPoP proofs (RFC 9449): a signature by the sender's own key over this request, now.

Verified here: the proof itself. Left to the caller: that exactly one `DPoP` header came, that `jkt` is the bound key,
that `replay_key` is new, that a nonce is demanded and good.
"""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from urllib.parse import urlsplit

from authz_server.core import clock, jose, secrets
from authz_server.core.errors import DomainError
from authz_server.core.jose.encoding import encode as b64url_encode

MAX_AGE_S = 60
MAX_AHEAD_S = 15
NONCE_BUCKET_S = 300

MAX_PROOF_BYTES = 8192
_DEFAULT_PORT = {"https": 443, "http": 80}
_URL_CHARACTERS = re.compile(r"[\x21-\x7e]+")


class BadProof(DomainError):
    """A DPoP proof that does not prove possession of a key for this request."""

    code = "invalid_dpop_proof"
    public = "The DPoP proof is not valid for this request."


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A verified proof. `jkt` is the RFC 7638 thumbprint of the key, `iat` seconds since 1970."""

    jkt: str
    jti: str
    iat: int
    nonce: str | None


def verify_proof(
    proof: str,
    *,
    method: str,
    url: str,
    now: datetime,
    access_token: str | None = None,
    algorithms: Collection[str] = jose.SIGNING,
) -> Proof:
    """Verify a DPoP proof for a request and return it.

    Args: url: our own public URL of the resource, from configuration, never from `Host`.
        access_token: the token presented with the proof; None where there is none (PAR, token endpoint).
    Raises: BadProof.  Source: RFC 9449 section 4.3.
    """
    try:
        verified = jose.verify_embedded(proof, algorithms=algorithms, typ="dpop+jwt", max_bytes=MAX_PROOF_BYTES)
    except jose.BadToken as error:
        raise BadProof(error.detail) from None
    claims = verified.claims
    jti, nonce = claims.get("jti"), claims.get("nonce")
    if not isinstance(jti, str) or not jti:
        raise BadProof("no jti")
    if not isinstance(nonce, str | None):
        raise BadProof("nonce is not a string")
    if claims.get("htm") != method:
        raise BadProof("htm is another method")
    _check_url(claims.get("htu"), url)
    _check_token_hash(claims.get("ath"), access_token)
    iat = _issued_at(claims.get("iat"), now)
    return Proof(jkt=verified.key.thumbprint, jti=jti, iat=iat, nonce=nonce)


def replay_key(proof: Proof) -> bytes:
    """Return the 32 bytes under which a proof is remembered, so that it is taken once.

    The key belongs to it: another sender's choice of the same `jti` is no replay.
    """
    return hashlib.sha256(f"{proof.jkt}.{proof.jti}".encode("utf-8", "surrogatepass")).digest()


def issue_nonce(key: bytes, now: datetime) -> str:
    """Return the nonce of this moment: 43 URL-safe characters, the same for all processes that share `key`."""
    return _nonce_of(key, _bucket(now))


def check_nonce(key: bytes, nonce: str | None, now: datetime) -> bool:
    """Whether `nonce` was issued in this or the previous five minutes. Nothing is stored."""
    if nonce is None:
        return False
    return any(secrets.equal(nonce, _nonce_of(key, _bucket(now) - age)) for age in (0, 1))


def challenge(error: DomainError | None, algorithms: Collection[str], **more: str) -> str:
    """What `WWW-Authenticate` says: what went wrong, and which proofs are taken. RFC 9449 section 7.1.

    Args: error: None where no credentials came, of whom RFC 6750 section 3.1 says that no error is named; more:
        parameters of other standards. Texts have neither quotes nor backslashes.
    """
    said = {"error": error.code, "error_description": error.public} if error else {}
    said |= {"algs": " ".join(algorithms), **more}
    return "DPoP " + ", ".join(f'{name}="{value}"' for name, value in said.items())


def _bucket(now: datetime) -> int:
    return int(now.timestamp()) // NONCE_BUCKET_S


@lru_cache(maxsize=16)
def _nonce_of(key: bytes, bucket: int) -> str:
    return secrets.derive(key, "dpop-nonce", str(bucket))


def _check_url(htu: object, url: str) -> None:
    if not isinstance(htu, str):
        raise BadProof("no htu")
    try:
        same = htu == url or comparable_url(htu) == _own_url(url)
    except ValueError:
        raise BadProof("htu is not a URL") from None
    if not same:
        raise BadProof("htu is another resource")


def _check_token_hash(ath: object, access_token: str | None) -> None:
    if access_token is None:
        return
    expected = b64url_encode(secrets.digest(access_token)).decode("ascii")
    if not isinstance(ath, str) or not secrets.equal(ath, expected):
        raise BadProof("ath is not the hash of the access token")


def _issued_at(iat: object, now: datetime) -> int:
    if not clock.is_numeric_date(iat):
        raise BadProof("no iat")
    if not -MAX_AHEAD_S <= now.timestamp() - iat <= MAX_AGE_S:
        raise BadProof("iat is outside the window")
    return int(iat)


def comparable_url(url: str) -> tuple[str, str, int, str]:
    """Return scheme, host, port and path such that equal URLs are equal, without query and fragment.

    Scheme and host without case, a default port like none, an empty path like `/` (RFC 3986 sections 6.2.2.1, 6.2.3);
    the path otherwise octet by octet.  Raises: ValueError unless `url` is an http(s) URL with a host and no user.
    """
    # urlsplit silently drops tabs and line ends.
    if not _URL_CHARACTERS.fullmatch(url):
        raise ValueError("not a URL")
    parts = urlsplit(url)
    default_port = _DEFAULT_PORT.get(parts.scheme)
    if default_port is None or not parts.hostname or "@" in parts.netloc:
        raise ValueError("not an http(s) URL of a host")
    return parts.scheme, parts.hostname, default_port if parts.port is None else parts.port, parts.path or "/"


@lru_cache(maxsize=256)
def _own_url(url: str) -> tuple[str, str, int, str]:
    return comparable_url(url)
