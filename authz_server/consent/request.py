"""What a client asked for, as the rest of the server sees it: parsed once, at the pushed request, never changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from authz_server.catalogue.model import Catalogue, Text
from authz_server.consent.details import RequestedDataset
from authz_server.core.identifiers import LOWEST_LEVEL, acr_of_level, level_of_acr

DESK: Final = "desk"  # the scope by which an office's desk has a clerk sign in: no data, so no consent
DESK_LEVEL: Final = 3


@dataclass(frozen=True, kw_only=True)
class AuthorizationParameters:
    """The validated parameters of a pushed authorization request (RFC 9126, OpenID Connect Core section 3.1.2.1)."""

    redirect_uri: str
    scopes: tuple[str, ...]
    datasets: tuple[RequestedDataset, ...]
    code_challenge: str = field(repr=False)
    state: str | None = field(default=None, repr=False)
    nonce: str | None = field(default=None, repr=False)
    dpop_jkt: str | None = None
    prompt: frozenset[str] = frozenset()
    max_age_s: int | None = None
    acr_values: tuple[str, ...] = ()
    essential_acr: bool = False
    claims: Mapping[str, Any] = field(default_factory=dict)
    ui_locales: tuple[str, ...] = ()
    hinted_subject: str | None = None
    at_counter: bool = False  # the citizen asks, and takes a barcode to the client instead of going back to it

    @property
    def purpose_id(self) -> str | None:
        """The one registered purpose of all its datasets; None if it asks for identity only."""
        return self.datasets[0].purpose_id if self.datasets else None

    @property
    def at_desk(self) -> bool:
        """Whether a clerk is to sign in at a desk; nobody's data is asked for."""
        return DESK in self.scopes

    def stated_acr(self, level: int) -> str:
        """The `acr` that tells the client of a level: the strictest of those it asked for that the level fulfils.

        OpenID Connect Core section 5.5.1.1: what answers a demand is one of the demanded values, though the citizen may
        have done more. Where none is fulfilled, or none was asked for, it is the level itself.
        """
        asked = (level_of_acr(acr) or LOWEST_LEVEL for acr in self.acr_values)
        return acr_of_level(min((one for one in asked if one >= level), default=level))

    def to_json(self) -> dict[str, Any]:
        """As kept in the request's row."""
        return {
            "redirect_uri": self.redirect_uri,
            "scopes": self.scopes,
            "datasets": [dataset.to_json() for dataset in self.datasets],
            "code_challenge": self.code_challenge,
            "state": self.state,
            "nonce": self.nonce,
            "dpop_jkt": self.dpop_jkt,
            "prompt": sorted(self.prompt),
            "max_age_s": self.max_age_s,
            "acr_values": self.acr_values,
            "essential_acr": self.essential_acr,
            "claims": self.claims,
            "ui_locales": self.ui_locales,
            "hinted_subject": self.hinted_subject,
            # Only where it is so: what an older version, still running beside this one, does not know.
            **({"at_counter": True} if self.at_counter else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "AuthorizationParameters":
        """The inverse of `to_json`."""
        return cls(
            **dict(value)
            | {
                "scopes": tuple(value["scopes"]),
                "datasets": tuple(RequestedDataset.from_json(item) for item in value["datasets"]),
                "prompt": frozenset(value["prompt"]),
                "acr_values": tuple(value["acr_values"]),
                "ui_locales": tuple(value["ui_locales"]),
            }
        )


@dataclass(frozen=True, kw_only=True)
class PendingRequest:
    """A request that waits for its citizen. `previous` is what they last granted this client, None the first time."""

    request_id: str
    transaction_id: str
    client_id: str
    citizen_id: int | None
    parameters: AuthorizationParameters
    pushed_at: datetime
    started_at: datetime
    deadline_at: datetime
    previous: list[dict[str, Any]] | None = None

    @property
    def purpose_id(self) -> str | None:
        """As of its parameters."""
        return self.parameters.purpose_id

    def needed_level(self, catalogue: Catalogue) -> int:
        """The identity level that the citizen must reach: the strictest of all datasets and of an essential acr."""
        levels = [catalogue.dataset(dataset.dataset_id).level for dataset in self.parameters.datasets]
        if self.parameters.essential_acr:
            levels.append(self._any_level_asked)
        if self.parameters.at_desk:
            levels.append(DESK_LEVEL)
        return min(levels, default=LOWEST_LEVEL)

    @property
    def wished_level(self) -> int | None:
        """The level that the client would like (voluntary `acr_values`); None if it only demands, or says nothing."""
        if self.parameters.essential_acr or not self.parameters.acr_values:
            return None
        return self._any_level_asked

    @property
    def _any_level_asked(self) -> int:
        """Of the `acr_values`, of which there are some, the least strict: any of them will do."""
        return max(level_of_acr(acr) or LOWEST_LEVEL for acr in self.parameters.acr_values)

    def demanded_by(self, catalogue: Catalogue) -> tuple[Text, ...]:
        """Names of the datasets that demand the needed level; none where only the client does."""
        datasets = (catalogue.dataset(dataset.dataset_id) for dataset in self.parameters.datasets)
        return tuple(dataset.name for dataset in datasets if dataset.level == self.needed_level(catalogue))

    @property
    def authenticated_after(self) -> datetime | None:
        """The moment that a sign-in must not be older than (OpenID Connect Core 3.1.2.1: prompt=login, max_age).

        Age is counted back from when the request was begun: reading it must not make a sign-in too old. Several people
        use the computer of a desk, so each of them proves who they are.
        """
        bounds = [self.pushed_at] if "login" in self.parameters.prompt or self.parameters.at_desk else []
        if self.parameters.max_age_s is not None:
            bounds.append(self.started_at - timedelta(seconds=self.parameters.max_age_s))
        return max(bounds, default=None)


def response_location(parameters: AuthorizationParameters, issuer: str, **answer: str) -> str:
    """The URL that takes the answer to the client: its registered URI, its query first (RFC 6749 section 3.1.2).

    `state` is added if the request had one, `iss` always (RFC 9207).
    """
    if parameters.state is not None:
        answer["state"] = parameters.state
    separator = "&" if "?" in parameters.redirect_uri else "?"
    return f"{parameters.redirect_uri}{separator}{urlencode(answer | {'iss': issuer})}"
