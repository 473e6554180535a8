"""What this server makes of one message of a client, for the developer whose client was refused.

The code that takes such a message for real reads it here, so the two never differ; but nothing is spent, neither its
`jti` nor anything else, and nothing is kept. What is refused is told in the words that the operator's log has.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeGuard

import orjson

from authz_server.clients.document import SIGNING_KEYS
from authz_server.clients.keys import is_recipient, signing_keys
from authz_server.core import clock, dpop, jose
from authz_server.core.errors import DomainError
from authz_server.core.jose import BadKey, BadToken, Key
from authz_server.core.jose.encoding import json_segment
from authz_server.core.jose.opening import check_header
from authz_server.core.json_text import object_or_empty
from authz_server.oauth.client_auth import PrivateKeyJwt

Kind = Literal["assertion", "proof", "keys", "package", "unknown"]
MOMENTS: Final = ("iat", "nbf", "exp")  # RFC 7519 section 4.1
LATEST: Final = 2**35  # seconds since 1970 that are a date: until the year 3058


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found.

    refused    the check that it does not pass, whenever it comes; None if there is none
    untimely   the check that it does not pass now, though it did in the moment for which it was made
    client_id  of an assertion, whose it says it is
    contents   what stands in it: name, and value as JSON, or what a key serves for. Proven by nothing
    """

    kind: Kind
    refused: str | None = None
    untimely: str | None = None
    client_id: str | None = None
    contents: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Linter:
    """Args: brings_token: of a request by this method to this URL, whether the client sends an access token with its
    proof; None where this platform takes no proof."""

    assertions: PrivateKeyJwt
    brings_token: Callable[[str, str], bool | None]

    def report(self, text: str, *, now: datetime) -> Report:
        """Say what a text is, and whether it would be taken; whatever it is, there is a report."""
        text = text.strip()
        if text.startswith("{"):
            return _keys(text)
        if text.count(".") == 4:
            return _package(text)
        try:
            message = jose.unverified(text)
            header, claims = message.header, message.claims
        except BadToken as error:
            return Report(kind="unknown", refused=error.detail)
        if "jwk" in header or "htm" in claims:
            return self._proof(text, header, claims, now)
        return self._assertion(text, header, claims, now)

    def _assertion(self, text: str, header: dict[str, Any], claims: dict[str, Any], now: datetime) -> Report:
        def judge(at: datetime) -> None:
            self.assertions.judge(text, now=at)

        client_id = claims.get("sub")
        return Report(
            kind="assertion",
            client_id=client_id if isinstance(client_id, str) else None,
            contents=_listed(header | claims),
            **_judged(judge, claims, now),
        )

    def _proof(self, text: str, header: dict[str, Any], claims: dict[str, Any], now: datetime) -> Report:
        method, url = claims.get("htm"), claims.get("htu")

        def judge(at: datetime) -> None:
            dpop.verify_proof(text, method=str(method), url=str(url), now=at)
            brings_token = self.brings_token(str(method), str(url))
            if brings_token is None:
                raise dpop.BadProof("htm and htu are not of a request that this platform takes a proof for")
            if brings_token and not isinstance(claims.get("ath"), str):
                raise dpop.BadProof("no ath, which belongs to a proof beside an access token")

        return Report(kind="proof", contents=_listed(header | claims), **_judged(judge, claims, now))


def _judged(
    judge: Callable[[datetime], None], claims: Mapping[str, Any], now: datetime
) -> dict[Literal["refused", "untimely"], str | None]:
    """Judge it in the moment for which it was made, then now: whoever pastes it does so later."""
    made_at = claims.get("iat")
    refused = _refusal(judge, datetime.fromtimestamp(made_at, UTC) if _is_date(made_at) else now)
    return {"refused": refused, "untimely": None if refused else _refusal(judge, now)}


def _refusal(judge: Callable[[datetime], None], at: datetime) -> str | None:
    try:
        judge(at)
    except DomainError as error:
        return error.detail
    return None


def _keys(text: str) -> Report:
    """A key set, or one key of it: what each serves for."""
    document = object_or_empty(text)
    is_set = "keys" in document
    try:
        keys = jose.parse_public_keys(document if is_set else {"keys": [document]})
    except BadKey as error:
        return Report(kind="keys", refused=error.detail)
    refused = f"no key to sign with ({SIGNING_KEYS})" if is_set and not signing_keys(keys) else None
    return Report(kind="keys", refused=refused, contents=tuple((key.kid, _served(key)) for key in keys))


def _served(key: Key) -> str:
    algorithms = (*jose.SIGNING, *(jose.KEY_MANAGEMENT if is_recipient(key) else ()))
    return ", ".join(alg for alg in algorithms if key.fits(alg))


def _package(text: str) -> Report:
    """What is encrypted: its header alone, for to open it is its recipient's."""
    header: dict[str, Any] = {}
    try:
        header = json_segment(text.partition(".")[0].encode("ascii", "replace"))
        check_header(header)
    except BadToken as error:
        return Report(kind="package", refused=error.detail, contents=_listed(header))
    return Report(kind="package", contents=_listed(header))


def _listed(members: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, _told(name, value)) for name, value in members.items())


def _told(name: str, value: object) -> str:
    """A member as JSON; a moment as a date beside it."""
    said = orjson.dumps(value).decode()
    if name not in MOMENTS or not _is_date(value):
        return said
    return f"{said} = {datetime.fromtimestamp(value, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _is_date(value: object) -> TypeGuard[float]:
    return clock.is_numeric_date(value) and 0 <= value < LATEST
