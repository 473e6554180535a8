"""How a fetch went, told by whoever holds its lease. The lease handle is the credential: random, for one fetch only."""

from flask import Request

from authz_server.catalogue.model import LONGEST_WAIT_S
from authz_server.core import clock
from authz_server.extensions import services
from authz_server.oauth.errors import InvalidRequest
from authz_server.oauth.params import FormPayload, read_form
from authz_server.prepared import lone_connection
from authz_server.tokens import dataset_tokens
from authz_server.tokens.dataset_tokens import Report

REASONS = frozenset(
    {
        "agency_down",
        "agency_timeout",
        "agency_refused",
        "agency_garbage",
        "agency_too_large",
        "bad_signature",
        "client_hung_up",
        "consent_ended",
    }
)


def report(request: Request) -> None:
    """Take the edge of the token's life that the outcome names; one statement.

    Raises: InvalidRequest, LeaseNotUsable.
    """
    payload = FormPayload(read_form(request))
    outcome, reason = payload.get("outcome"), payload.find("reason")
    if outcome not in dataset_tokens.OUTCOMES:
        raise InvalidRequest("outcome is unknown.")
    if reason is not None and reason not in REASONS:
        raise InvalidRequest("reason is unknown.")
    wait_s = _seconds(payload.get("retry_after")) if outcome == "preparing" else 0
    limits, now = services().settings.limits, clock.now()
    lease = payload.get("lease")
    with lone_connection() as connection:
        dataset_tokens.report(connection, lease, Report(outcome, reason, wait_s), limits=limits, now=now)


def _seconds(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 6 and 1 <= int(value) <= LONGEST_WAIT_S):
        raise InvalidRequest(f"retry_after is not between 1 and {LONGEST_WAIT_S} seconds.")
    return int(value)
