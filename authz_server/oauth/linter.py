"""What this server makes of one message of a client, for the developer whose client was refused.

The code that takes such a message for real reads it here, so the two never differ; but nothing is spent, neither its
`jti` nor anything else, and nothing is kept. What is refused is told in the words that the operator's log has.

Of clients that nobody is told of (resource servers) it says what it says of those that don't exist.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, TypeGuard

import orjson

from authz_server.clients.document import SIGNING_KEYS
from authz_server.clients.keys import NO_RECIPIENT, is_recipient, only_unusable_recipients, signing_keys
from authz_server.clients.model import Client
from authz_server.core import clock, dpop, jose
from authz_server.core.errors import DomainError
from authz_server.core.jose import BadKey, BadToken, Key, KeySet
from authz_server.core.jose.encoding import decode, json_object
from authz_server.core.jose.keys import PRIVATE_MEMBERS
from authz_server.core.jose.opening import check_header, read_header
from authz_server.oauth.client_auth import PrivateKeyJwt
from authz_server.oauth.dpop import DpopVerifier
from authz_server.oauth.errors import InvalidClient, UseDpopNonce

Kind = Literal["assertion", "proof", "keys", "package", "unknown"]
Judge = Callable[[datetime], None]
MOMENTS: Final = ("iat", "nbf", "exp")  # RFC 7519 section 4.1
LATEST: Final = 2**35  # seconds since 1970 that are a date: until the year 3058
SHA256_BYTES: Final = 32
TOO_DEEP: Final = "..."  # for what is nested deeper than the serialiser goes


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found.

    refused   the check that it does not pass, whenever it comes; None if there is none
    untimely  the check that it does not pass now, though it did in the moment for which it was made
    client    of an assertion: whose it says it is, if everybody is told of that client
    contents  what stands in it: name, and value as JSON, or what a key serves for. Proven by nothing
    private   a private key is in it, which is nothing to be sent anywhere
    showable  it was read, and no private key is in it, so that it may be shown again
    """

    kind: Kind
    refused: str | None = None
    untimely: str | None = None
    client: Client | None = None
    contents: tuple[tuple[str, str], ...] = ()
    private: bool = False
    showable: bool = False


class Target(NamedTuple):
    """A request that a proof is taken for: whether an access token comes with it, and whether it comes to this server
    or to the proxy, whose nonces only the proxy knows."""

    brings_token: bool
    is_here: bool


@dataclass(frozen=True, kw_only=True)
class Linter:
    """Args: find_client: by its id a client that everybody is told of; find_target: what a request by this method to
    this URL is, None where nobody takes a proof."""

    assertions: PrivateKeyJwt
    proofs: DpopVerifier
    find_client: Callable[[str], Client | None]
    find_target: Callable[[str, str], Target | None]

    def report(self, text: str, *, now: datetime) -> Report:
        """Say what a text is, and whether it would be taken; whatever it is, there is a report."""
        if text.lstrip().startswith("{"):
            return _keys(text)
        if text.count(".") == 4:
            return _package(text)
        try:
            message = jose.unverified(text)
            header, claims = message.header, message.claims
        except BadToken as error:
            return Report(kind="unknown", refused=error.detail)
        # No assertion that is taken has two of these marks, no proof that is taken fewer; and neither loses its name by
        # one mistake.
        if ("jwk" in header) + ("htm" in claims) + ("sub" not in claims) >= 2:
            return self._proof(text, header, claims, now)
        return self._assertion(text, header, claims, now)

    def _assertion(self, text: str, header: dict[str, Any], claims: dict[str, Any], now: datetime) -> Report:
        named = claims.get("sub")
        client = self.find_client(named) if isinstance(named, str) else None

        def judge(at: datetime) -> None:
            if client is None:
                raise InvalidClient("sub is not the client_id of a client that asks for data")
            self.assertions.judge(text, now=at)

        refused, untimely = _judged(judge, claims, now)
        return _of_parts("assertion", header, claims, refused=refused, untimely=untimely, client=client)

    def _proof(self, text: str, header: dict[str, Any], claims: dict[str, Any], now: datetime) -> Report:
        method, url = str(claims.get("htm")), str(claims.get("htu"))

        def judge(at: datetime) -> None:
            proof = dpop.verify_proof(text, method=method, url=url, now=at)
            target = self.find_target(method, url)
            if target is None:
                raise dpop.BadProof("htm and htu are not of a request that this platform takes a proof for")
            if target.brings_token and "ath" not in claims:
                raise dpop.BadProof("no ath, which belongs to a proof beside an access token")
            if target.brings_token and not _is_digest(claims["ath"]):
                raise dpop.BadProof("ath is not the SHA-256 of an access token, in base64url without padding")
            if target.is_here:
                self._verify_nonce(proof, at)

        refused, untimely = _judged(judge, claims, now)
        return _of_parts("proof", header, claims, refused=refused, untimely=untimely)

    def _verify_nonce(self, proof: dpop.Proof, at: datetime) -> None:
        try:
            self.proofs.verify_nonce(proof, now=at)
        except UseDpopNonce:
            # By a clock that is slow, it was made before the nonce that is in it.
            self.proofs.verify_nonce(proof, now=at + timedelta(seconds=dpop.MAX_AGE_S))


def _judged(judge: Judge, claims: Mapping[str, Any], now: datetime) -> tuple[str | None, str | None]:
    """What refuses it whenever it comes, and what refuses it only now: whoever pastes it does so later."""
    at_present = _refusal(judge, now)
    refused = _refusal(judge, _made_at(claims, now)) if at_present is not None else None
    return refused, None if refused is not None else at_present


def _refusal(judge: Judge, at: datetime) -> str | None:
    try:
        judge(at)
    except DomainError as error:
        return error.detail
    return None


def _made_at(claims: Mapping[str, Any], now: datetime) -> datetime:
    """The moment for which it was made, by what it says; without `iat`, which an assertion may lack, its end."""
    begins, expires_at = [claims[name] for name in ("iat", "nbf") if _is_date(claims.get(name))], claims.get("exp")
    if begins:
        return datetime.fromtimestamp(max(begins), UTC)
    return min(now, datetime.fromtimestamp(expires_at, UTC)) if _is_date(expires_at) else now


def _keys(text: str) -> Report:
    """A key set, or one key of it: what each serves for."""
    try:
        document = json_object(text.encode("utf-8", "surrogatepass"))
        is_set = "keys" in document
        keys = jose.parse_public_keys(document) if is_set else KeySet([jose.parse_public_key(document)])
    except (BadToken, BadKey) as error:
        return Report(kind="keys", refused=error.detail)
    refused = None
    if is_set and not signing_keys(keys):
        refused = f"no key to sign with ({SIGNING_KEYS})"
    elif is_set and only_unusable_recipients(keys):
        refused = NO_RECIPIENT
    elif not any(map(_served, keys)):
        refused = "its use, alg and curve are those of no algorithm that is taken here"
    contents, private = tuple((key.kid, _served(key)) for key in keys), _holds_private_key((document,))
    return Report(kind="keys", refused=refused, contents=contents, private=private, showable=not private)


def _served(key: Key) -> str:
    algorithms = (*jose.SIGNING, *(jose.KEY_MANAGEMENT if is_recipient(key) else ()))
    return ", ".join(alg for alg in algorithms if key.fits(alg))


def _package(text: str) -> Report:
    """What is encrypted: its header alone, for to open it is its recipient's."""
    try:
        header = read_header(text.encode("ascii", "replace"))
    except BadToken as error:
        return Report(kind="package", refused=error.detail)
    try:
        check_header(header)
    except BadToken as error:
        return _of_parts("package", header, refused=error.detail)
    return _of_parts("package", header)


def _of_parts(kind: Kind, *parts: dict[str, Any], **found: Any) -> Report:
    """A report of a message that has these parts. Members of one name are told as often as they are there."""
    if _holds_private_key(parts):
        return Report(kind=kind, private=True, **found)
    contents = tuple((name, _told(name, value)) for part in parts for name, value in part.items())
    return Report(kind=kind, contents=contents, showable=True, **found)


def _holds_private_key(parts: tuple[dict[str, Any], ...]) -> bool:
    """Whether a private JWK stands somewhere in it: in the `jwk` of a proof, say."""
    pending: list[object] = [*parts]
    while pending:  # no recursion, for a stranger decides how deep it is
        value = pending.pop()
        if isinstance(value, dict):
            if not PRIVATE_MEMBERS.isdisjoint(value):
                return True
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return False


def _is_digest(value: object) -> bool:
    """Whether it can be the `ath` of any token (RFC 9449 section 4.2)."""
    try:
        return isinstance(value, str) and len(decode(value.encode("ascii"))) == SHA256_BYTES
    except ValueError:
        return False


def _told(name: str, value: object) -> str:
    """A member as JSON; a moment as a date beside it."""
    try:
        said = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return TOO_DEEP
    if name not in MOMENTS or not _is_date(value):
        return said
    return f"{said} = {datetime.fromtimestamp(value, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _is_date(value: object) -> TypeGuard[float]:
    return clock.is_numeric_date(value) and 0 <= value < LATEST
