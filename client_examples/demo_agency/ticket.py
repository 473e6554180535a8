"""The platform's ticket: one permission to hand out one dataset of one person, once.

A JWS by the platform inside a JWE to this agency. Nothing in it is believed before its signature has been
verified, and nothing is answered before every member has been seen to be there, of its type, and meant for us.
Sources: RFC 8725 (JWT best practice), RFC 9068 (typ at+jwt), RFC 7519 section 4.1.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, GuestProtocol, Key, RSAKey, import_key

ACR = "urn:mydata:acr:level-"
SKEW_S = 10
MAX_LIFE_S = 120  # the platform gives 60 s; a ticket that claims to live for hours is not one
MAX_TICKET_BYTES = 16_384
MAX_REMEMBERED = 100_000
MEMBERS: dict[str, type | tuple[type, ...]] = {
    "iss": str,
    "aud": str,
    "exp": int,
    "iat": int,
    "jti": str,
    "txn": str,
    "sub": str,
    "client_id": str,
    "client_name": dict,
    "dataset": str,
    "fields": list,
    "parameters": dict,
    "purpose": str,
    "grant_id": (int, str),
    "acr": str,
    "auth_time": int,
    "recipient_jwk": dict,
}


class Refused(Exception):
    """It permits nothing. The text is for the log of whoever was asked; the caller is told nothing of it."""


class TooBusy(Exception):
    """No room to remember another ticket: better to answer later than to answer twice."""


@dataclass(frozen=True)
class Ticket:
    """A verified ticket: `subject` is the person's national id, `recipient` the key the package is encrypted to."""

    jti: str
    transaction: str
    subject: str = field(repr=False)
    client_id: str
    client_name: str
    dataset: str
    fields: tuple[str, ...]
    parameters: dict[str, str]
    purpose: str
    acr: str
    recipient: ECKey | RSAKey = field(repr=False)


class UsedTickets:
    """Remembers each ticket id until the ticket has expired. A real agency has a table with a unique column instead:
    this one forgets at a restart, which is why tickets from before the start are refused."""

    def __init__(self, started_at: int, limit: int = MAX_REMEMBERED) -> None:
        self.started_at = started_at
        self._limit = limit
        self._expiry: dict[str, int] = {}
        self._lock = threading.Lock()

    def use(self, jti: str, *, exp: int, now: int) -> bool:
        """Spend the id; False if it was spent before. Raises: TooBusy."""
        with self._lock:
            if jti in self._expiry:
                return False
            if len(self._expiry) >= self._limit:
                self._expiry = {known: until for known, until in self._expiry.items() if until + SKEW_S > now}
                if len(self._expiry) >= self._limit:
                    raise TooBusy
            self._expiry[jti] = exp
            return True


@dataclass(frozen=True)
class Verifier:
    """Everything needed to tell a good ticket from another: who we are, our key, whom we believe, what was used."""

    agency_id: str
    issuer: str
    decryption_key: ECKey
    signing_key: Callable[[str], Key | None]
    used: UsedTickets

    def verify(self, raw: str, dataset_id: str, *, level: int, now: int) -> Ticket:
        """Spend a ticket for the dataset and return what it permits.

        Args: level: how well the person must have been identified, 1 (best) to 4; now: seconds since 1970.
        Raises: Refused, TooBusy.
        """
        if len(raw) > MAX_TICKET_BYTES:
            raise Refused("too large")
        claims = opened(raw, self.decryption_key, self.signing_key, typ="at+jwt")
        for name, kind in MEMBERS.items():
            if name not in claims:
                raise Refused(f"{name} is missing")
            if not isinstance(claims[name], kind) or isinstance(claims[name], bool) or claims[name] in ("", []):
                raise Refused(f"{name} has no usable value")
        if claims["iss"] != self.issuer or claims["aud"] != self.agency_id:
            raise Refused("issued by another platform, or for another agency")
        if claims["dataset"] != dataset_id:
            raise Refused("made for another dataset")
        if claims["acr"] not in {f"{ACR}{accepted}" for accepted in range(1, level + 1)}:
            raise Refused("the person was not identified well enough")
        if not claims["iat"] - SKEW_S <= now < claims["exp"] or claims["exp"] - claims["iat"] > MAX_LIFE_S:
            raise Refused("not valid now")
        if claims["iat"] < self.used.started_at:
            raise Refused("from before this server started to remember tickets")
        ticket = parse(claims)
        if not self.used.use(ticket.jti, exp=claims["exp"], now=now):
            raise Refused("answered before")
        return ticket


def opened(raw: str | bytes, key: ECKey, signing_key: Callable[[str], Key | None], *, typ: str) -> dict[str, Any]:
    """Decrypt, verify the signature, and return the claims.

    Args: signing_key: the platform's keys by `kid`; none is ever taken from the token itself.  Raises: Refused.
    """

    def key_for(signed: GuestProtocol) -> Key:
        header = signed.headers()
        if header.get("typ") != typ:  # RFC 8725 section 3.11: no other kind of token will do
            raise Refused(f"not of type {typ}")
        found = signing_key(str(header.get("kid")))
        if found is None:
            raise Refused("signed with a key that the platform does not publish")
        return found

    try:
        # "zip" is not in the list, so that what is compressed is refused before it is blown up.
        inner = jwe.decrypt_compact(raw, key, algorithms=["ECDH-ES", "A256GCM"]).plaintext
        claims = json.loads(jws.deserialize_compact(inner or b"", key_for, algorithms=["ES256"]).payload)
    except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"cannot be opened: {type(error).__name__}") from error
    if not isinstance(claims, dict):
        raise Refused("not a set of claims")
    return claims


def parse(claims: dict[str, Any]) -> Ticket:
    """Claims with the right outer types -> Ticket. Raises: Refused."""
    fields, parameters = claims["fields"], claims["parameters"]
    if not all(isinstance(name, str) for name in fields) or len(set(fields)) != len(fields):
        raise Refused("fields is not a list of distinct names")
    if not all(isinstance(value, str) for value in parameters.values()):
        raise Refused("parameters has a value that is no text")
    name = claims["client_name"].get("zh")
    if not isinstance(name, str):
        raise Refused("client_name has no zh")
    return Ticket(
        jti=claims["jti"],
        transaction=claims["txn"],
        subject=claims["sub"],
        client_id=claims["client_id"],
        client_name=name,
        dataset=claims["dataset"],
        fields=tuple(fields),
        parameters=parameters,
        purpose=claims["purpose"],
        acr=claims["acr"],
        recipient=recipient_key(claims["recipient_jwk"]),
    )


def recipient_key(jwk: dict[str, Any]) -> ECKey | RSAKey:
    """The public key that the package is encrypted to: P-256, or RSA of 2048 bits and more."""
    try:
        strong = jwk["crv"] == "P-256" if jwk["kty"] == "EC" else len(jwk["n"]) * 6 // 8 >= 256
        key = import_key(jwk) if strong else None
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise Refused("recipient_jwk is not a key") from error
    if not isinstance(key, ECKey | RSAKey) or key.is_private or jwk.get("use", "enc") != "enc":
        raise Refused("recipient_jwk is not a strong public key for encryption")
    if key.alg not in {None, *(("ECDH-ES", "ECDH-ES+A256KW") if isinstance(key, ECKey) else ("RSA-OAEP-256",))}:
        raise Refused("recipient_jwk is for an algorithm that is not ours")
    return key
