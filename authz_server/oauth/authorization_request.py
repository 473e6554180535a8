"""Validate the parameters of an authorization request, a step for each (OpenID Connect Core section 3.1.2, FAPI 2.0).

All is judged when it is pushed, so that a client learns of its mistake before any citizen does.
"""

import re
from collections.abc import Callable
from typing import Any

from authz_server.catalogue.model import Catalogue
from authz_server.clients.model import Client
from authz_server.consent.details import RequestedDataset
from authz_server.consent.request import DESK, AuthorizationParameters
from authz_server.core.identifiers import level_of_acr
from authz_server.oauth import claims_parameter, rar
from authz_server.oauth.errors import InvalidRequest, InvalidScope, RequestNotSupported, UnsupportedResponseType
from authz_server.oauth.params import FormPayload
from authz_server.oauth.scopes import IDENTITY_SCOPES

SHA256 = re.compile(r"[A-Za-z0-9_-]{43}")  # in base64url: RFC 7636 section 4.2, RFC 7638 section 3
MAX_CHARS = {
    "state": 1000,
    "nonce": 1000,
    "redirect_uri": 2000,
    "claims": 4000,
    "scope": 2000,
    "acr_values": 500,
    "ui_locales": 500,
}
PROMPTS = frozenset({"none", "login", "consent", "select_account"})
VSCHAR = re.compile(r"[\x20-\x7e]*")  # RFC 6749 appendix A

HintVerifier = Callable[[str], str]


def validate(
    payload: FormPayload,
    *,
    client: Client,
    catalogue: Catalogue,
    default_recipient: Callable[[], dict[str, Any] | None],
    subject_of_hint: HintVerifier,
) -> AuthorizationParameters:
    """The typed parameters of a request.

    Args: default_recipient: the client's registered encryption key; subject_of_hint: verifies an id_token_hint.
    Raises: InvalidRequest and its kinds, RequestNotSupported, UnsupportedResponseType; FetchError, if the client's keys
        can't be had.
    """
    for name, limit in MAX_CHARS.items():
        if len(payload.find(name) or "") > limit:
            raise InvalidRequest(f"{name} is too long.")
    if payload.find("request_uri") is not None:
        raise InvalidRequest("request_uri cannot be pushed.")
    if payload.find("request") is not None:
        raise RequestNotSupported
    if payload.find("grant_management_action") not in {None, "create"} or payload.find("grant_id") is not None:
        raise InvalidRequest("A grant is given anew each time: only grant_management_action create is supported.")
    _check_response(payload, client)
    scopes, datasets = _asked(payload, client, catalogue, default_recipient)
    claims = claims_parameter.parse(payload.find("claims"))
    hint = payload.find("id_token_hint")
    return AuthorizationParameters(
        redirect_uri=payload.get("redirect_uri"),
        scopes=scopes,
        datasets=datasets,
        code_challenge=_code_challenge(payload),
        state=_visible(payload, "state"),
        nonce=_visible(payload, "nonce"),
        dpop_jkt=thumbprint(jkt) if (jkt := payload.find("dpop_jkt")) else None,
        prompt=_prompt(payload.find("prompt")),
        max_age_s=_max_age(payload.find("max_age")),
        acr_values=claims.essential_acr or _known_acr(payload.find("acr_values")),
        essential_acr=bool(claims.essential_acr),
        # Without openid there is no place where a claim could be returned.
        claims=claims.by_place if "openid" in scopes and DESK not in scopes else {},
        ui_locales=tuple((payload.find("ui_locales") or "").split()[:10]),
        hinted_subject=subject_of_hint(hint) if hint else None,
    )


def _check_response(payload: FormPayload, client: Client) -> None:
    response_type = payload.get("response_type")
    if response_type != "code":
        raise UnsupportedResponseType(response_type)
    if payload.find("response_mode") not in {None, "query"}:
        raise InvalidRequest("Only response_mode query is supported.")
    # Byte for byte: every cleverer comparison has been an open redirect somewhere.
    if payload.get("redirect_uri") not in client.redirect_uris:
        raise InvalidRequest("redirect_uri is not registered")


def _code_challenge(payload: FormPayload) -> str:
    if payload.find("code_challenge_method") != "S256":
        raise InvalidRequest("code_challenge_method must be S256.")
    challenge = payload.get("code_challenge")
    if not SHA256.fullmatch(challenge):
        raise InvalidRequest("code_challenge is not a base64url SHA-256.")
    return challenge


def _asked(
    payload: FormPayload,
    client: Client,
    catalogue: Catalogue,
    default_recipient: Callable[[], dict[str, Any] | None],
) -> tuple[tuple[str, ...], tuple[RequestedDataset, ...]]:
    scopes = list(dict.fromkeys((payload.find("scope") or "").split(" ")))
    scopes = [scope for scope in scopes if scope]
    identity = [scope for scope in scopes if scope in IDENTITY_SCOPES]
    bare = [scope for scope in scopes if scope not in IDENTITY_SCOPES]
    if any(catalogue.find_dataset(scope) is None for scope in bare):
        raise InvalidScope
    datasets = rar.parse(
        payload.find("authorization_details"),
        bare,
        client=client,
        catalogue=catalogue,
        key_of_client=default_recipient,
    )
    if "openid" not in identity and not datasets:
        raise InvalidScope("Nothing is asked for: neither openid nor a dataset.")
    if DESK in identity and (datasets or {*identity} != {"openid", DESK} or not client.counters):
        raise InvalidScope("desk goes with openid alone, and is for clients with counters.")
    return tuple(identity), datasets


def _visible(payload: FormPayload, name: str) -> str | None:
    value = payload.find(name)
    if value is not None and not VSCHAR.fullmatch(value):
        raise InvalidRequest(f"{name} has characters that are not allowed.")
    return value


def thumbprint(value: str) -> str:
    """A `dpop_jkt` (RFC 9449 section 10), as it was sent.  Raises: InvalidRequest."""
    if not SHA256.fullmatch(value):
        raise InvalidRequest("dpop_jkt is not a thumbprint.")
    return value


def _prompt(value: str | None) -> frozenset[str]:
    prompt = frozenset((value or "").split())
    if not prompt <= PROMPTS:
        raise InvalidRequest("prompt has an unknown value.")
    if "none" in prompt and len(prompt) > 1:
        raise InvalidRequest("prompt none cannot be combined.")
    return prompt


def _max_age(value: str | None) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise InvalidRequest("max_age is not a number of seconds.")
    return int(value)


def _known_acr(value: str | None) -> tuple[str, ...]:
    """Voluntary: values that we don't know are passed over (OpenID Connect Core section 3.1.2.1)."""
    return tuple(acr for acr in (value or "").split() if level_of_acr(acr))
