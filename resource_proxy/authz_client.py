"""The proxy's calls to the authorization server: swap a token for a ticket, say how the fetch went, read its keys."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import quote_plus

from authz_server.catalogue.model import LONGEST_WAIT_S
from authz_server.core import clock, dpop, jose, json_text, secrets
from authz_server.core.errors import DomainError
from authz_server.core.identifiers import TRACE_HEADER, TraceId
from authz_server.core.jose.encoding import encode
from resource_proxy.http_pool import Pool
from resource_proxy.http_wire import NotConnected, WireError

ANSWER_LIMIT_BYTES = 64 * 1024
ASSERTION_TTL_S = 60
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 section 2.2
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - RFC 8693 section 2.1
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - RFC 8693 section 3
UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*")  # RFC 3986 section 2.3

Outcome = Literal["delivering", "continuing", "delivered", "failed", "preparing", "no_record"]


def form_encoded(form: Mapping[str, str]) -> str:
    """The form as it is sent. Names are ours; hardly a value has a character that has to be written otherwise."""
    return "&".join(
        f"{name}={value if UNRESERVED.fullmatch(value) else quote_plus(value)}" for name, value in form.items()
    )


# What is the same in every exchange, encoded once.
EXCHANGE_FORM = form_encoded(
    {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token_type": ACCESS_TOKEN_TYPE,
        "client_assertion_type": ASSERTION_TYPE,
    }
)


class TokenRefused(DomainError):
    """Unknown, expired, spent, withdrawn, bound to another key, for another dataset: nobody learns which."""

    code = "invalid_token"
    public = "The access token is not usable."


class ProofReplayed(DomainError):
    """The authorization server has seen this proof before, or does not like it."""

    code = "invalid_dpop_proof"
    public = "The DPoP proof is not valid for this request."


class StepUpNeeded(DomainError):
    """RFC 9470 section 3: the dataset demands a stronger sign-in than the one at the consent. Nothing was spent."""

    code = "insufficient_user_authentication"
    public = "A different authentication level is required."

    def __init__(self, acr_values: str) -> None:
        super().__init__("refused by the authorization server")
        self.acr_values = acr_values


class NotYet(DomainError):
    """The agency is still preparing, and its time is not over."""

    code = "temporarily_unavailable"
    public = "The data is still being prepared."

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("asked before the time that the agency named")
        self.retry_after_s = retry_after_s


class AuthorizationServerDown(DomainError):
    """No usable answer of the authorization server: what it did with the request is unknown."""

    code = "authorization_server_unavailable"
    public = "The authorization server cannot be reached."


class OutcomeRefused(DomainError):
    """The lease is not usable any more: nothing more may be sent."""

    code = "invalid_token"
    public = "The access token is not usable."


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to ask one agency once, and the handle under which to say how it went."""

    ticket: str = field(repr=False)
    handle: str = field(repr=False)
    agency_id: str
    dataset_id: str
    transaction: str


class _HttpAnswer(NamedTuple):
    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        """The JSON object of the body, empty if it is anything else."""
        return json_text.object_or_empty(self.body)


class AuthzClient:
    """Speaks for the proxy at the authorization server. Used by many threads at once."""

    def __init__(self, pool: Pool, *, issuer: str, client_id: str, key: jose.Key) -> None:
        self._pool = pool
        self._issuer = issuer
        self._client_id = client_id
        self._key = key

    def exchange(self, token: str, proof: dpop.Proof, *, resource: str, trace_id: TraceId) -> Lease:
        """Swap a dataset token for the agency's ticket: this is the token's one use.

        Never sent twice: when the answer is lost the token may be leased already, and only its lease's end tells.
        Raises: TokenRefused, ProofReplayed, StepUpNeeded, NotYet, AuthorizationServerDown.
        Source: RFC 8693 section 2.1.
        """
        form = {
            "subject_token": token,
            "resource": resource,
            "dpop_jkt": proof.jkt,
            "dpop_jti": encode(dpop.replay_key(proof)).decode("ascii"),
            "client_assertion": self._assertion(),
        }
        response = self._post("/token", f"{EXCHANGE_FORM}&{form_encoded(form)}", trace_id)
        document = response.json()
        if response.status == 200:
            return _lease(document)
        error = document.get("error")
        if response.status == 400 and error == "temporarily_unavailable":
            raise NotYet(_wait_s(document.get("retry_after")))
        if response.status == 400 and error in {"invalid_request", "invalid_target"}:  # RFC 8693 section 2.2.2
            raise TokenRefused("refused by the authorization server")
        if response.status == 400 and error == StepUpNeeded.code:
            raise StepUpNeeded(_quotable(document.get("acr_values")))
        if response.status == 400 and error == "invalid_dpop_proof":
            raise ProofReplayed("refused by the authorization server")
        raise AuthorizationServerDown(f"/token: status {response.status}")

    def report(
        self,
        lease: Lease,
        outcome: Outcome,
        *,
        trace_id: TraceId,
        reason: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        """Say how the fetch went.

        Raises: OutcomeRefused: send nothing more; AuthorizationServerDown: whether it was recorded is unknown.
        """
        said = {"reason": reason, "retry_after": retry_after_s}
        form = {"lease": lease.handle, "outcome": outcome}
        form |= {name: str(value) for name, value in said.items() if value is not None}
        response = self._post("/outcomes", form_encoded(form), trace_id)
        if response.status == 409:
            raise OutcomeRefused(outcome)
        if response.status != 204:
            raise AuthorizationServerDown(f"/outcomes: status {response.status}")

    def public_keys(self) -> jose.KeySet:
        """Fetch the keys that tickets are signed with.  Raises: AuthorizationServerDown."""
        try:
            return jose.parse_public_keys(self._send("GET", "/jwks", {}, "").json())
        except jose.BadKey as error:
            raise AuthorizationServerDown(f"/jwks: {error.detail}") from None

    def _assertion(self) -> str:
        now = int(clock.now().timestamp())
        # FAPI 2.0 security profile section 5.3.3.1: the audience is the issuer, as one string.
        claims = {"iss": self._client_id, "sub": self._client_id, "aud": self._issuer, "iat": now}
        return jose.sign(claims | {"exp": now + ASSERTION_TTL_S, "jti": secrets.new_secret("")}, self._key)

    def _post(self, path: str, form: str, trace_id: TraceId) -> _HttpAnswer:
        headers = {"Content-Type": "application/x-www-form-urlencoded", TRACE_HEADER: trace_id}
        return self._send("POST", path, headers, form)

    def _send(self, method: str, path: str, headers: Mapping[str, str], form: str) -> _HttpAnswer:
        """One request, sent at most once; a connection that was never made is tried a second time."""
        try:
            try:
                return self._call(method, path, headers, form)
            except NotConnected:
                return self._call(method, path, headers, form)
        except WireError as error:
            raise AuthorizationServerDown(f"{path}: {error}") from None

    def _call(self, method: str, path: str, headers: Mapping[str, str], form: str) -> _HttpAnswer:
        answer = self._pool.send(method, path, {"Accept": "application/json", **headers}, form.encode())
        try:
            body = answer.read(ANSWER_LIMIT_BYTES + 1)
        finally:
            answer.close()
        if len(body) > ANSWER_LIMIT_BYTES:
            raise AuthorizationServerDown(f"{path}: the answer is too long")
        return _HttpAnswer(answer.status, body)


def _lease(document: Mapping[str, Any]) -> Lease:
    names = {"ticket": "access_token", "handle": "lease", "agency_id": "agency"}
    names |= {"dataset_id": "dataset", "transaction": "transaction"}
    values: dict[str, Any] = {ours: document.get(theirs) for ours, theirs in names.items()}
    if not all(isinstance(value, str) and value for value in values.values()):
        raise AuthorizationServerDown("/token: not the answer of a token exchange")
    return Lease(**values)


def _quotable(value: object) -> str:
    """A text that can stand in quotes in a header (RFC 9110 section 5.6.4), whatever came."""
    text = value if isinstance(value, str) else ""
    return "".join(character for character in text if " " <= character <= "~" and character not in '"\\')


def _wait_s(value: object) -> int:
    return min(max(value, 1), LONGEST_WAIT_S) if isinstance(value, int) else 60
