"""Names of things: distinct types for the checker, and the few identifiers that have a form of their own."""

import re
import secrets
import uuid
from typing import NewType

CitizenId = NewType("CitizenId", int)
ClientId = NewType("ClientId", str)
AgencyId = NewType("AgencyId", str)
DatasetId = NewType("DatasetId", str)
TransactionId = NewType("TransactionId", str)
TraceId = NewType("TraceId", str)

# Crockford's base32: no I, L, O, U, so that a citizen can read a reference number over the telephone.
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
TRACE_HEADER = "X-FAPI-Interaction-ID"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ACR_PREFIX = "urn:mydata:acr:level-"

PLATFORM_NAME = "MyData"  # under which apps and devices of citizens list what they keep for this platform
HIGHEST_LEVEL = 1
LOWEST_LEVEL = 4
MEMBER_AREA = 5  # no identity level: what only opens the citizen's own pages, never a fetch


def new_transaction_id() -> TransactionId:
    """Return a reference number such as `T7K2M-9QXA-4F3C`: 60 random bits, shown to people, never a credential."""
    text = crockford(secrets.randbits(60), 12)
    return TransactionId(f"T{text[:4]}-{text[4:8]}-{text[8:]}")


def crockford(number: int, length: int) -> str:
    """The lowest five bits for each of so many characters, the lowest first."""
    return "".join(CROCKFORD[number >> shift & 31] for shift in range(0, 5 * length, 5))


def trace_id(received: str | None) -> TraceId:
    """Return what came in `TRACE_HEADER` if it is a UUID, else a new one."""
    if received is not None and _UUID.fullmatch(received):
        return TraceId(received)
    return TraceId(str(uuid.uuid4()))


def acr_of_level(level: int) -> str:
    """Return the `acr` value of an identity level, 1 (highest) to 4."""
    if not HIGHEST_LEVEL <= level <= LOWEST_LEVEL:
        raise ValueError(f"no identity level {level}")
    return f"{_ACR_PREFIX}{level}"


def level_of_acr(acr: str) -> int | None:
    """Return the level that an `acr` value names, None if it names none of ours."""
    for level in range(HIGHEST_LEVEL, LOWEST_LEVEL + 1):
        if acr == f"{_ACR_PREFIX}{level}":
            return level
    return None
