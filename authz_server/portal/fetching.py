"""The page of a download: its script makes keys, gets tokens for them, fetches, decrypts, verifies, shows and saves.

Routes
    GET  /download/<reference>         the page, for the session in which the citizen agreed
    POST /download/<reference>/tokens  form: csrf, recipient_jwk; header DPoP: what is granted, with tokens for that key

The second spends the consent's code, once, as the token endpoint does for clients. From then on the browser speaks to
the proxy; nothing that an agency sends comes here. Whoever needs no page can do the same: client_examples/sandbox.
"""

from typing import Any, Final

import orjson
from flask import Blueprint, abort, g, make_response, render_template, request
from werkzeug.wrappers import Response

from authz_server.clients import keys, own
from authz_server.consent.codes import CodeRow
from authz_server.consent.download import Page, find_code
from authz_server.consent.errors import CodeNotUsable, CodeReplayed
from authz_server.consent.outcome import Decided
from authz_server.consent.wording import listed
from authz_server.core import clock
from authz_server.core.dpop import BadProof
from authz_server.core.jose import BadKey
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import cookies, csrf, turns
from authz_server.identity.enrolment import identified
from authz_server.identity.sessions import SignedIn
from authz_server.oauth import dpop
from authz_server.oauth.dpop import DpopVerifier
from authz_server.oauth.errors import InvalidRequest, UseDpopNonce, error_response
from authz_server.oauth.responses import json_response
from authz_server.portal import locale
from authz_server.portal.download import catalogue_url
from authz_server.portal.outcome import ahead_of, approved, fetches_of
from authz_server.prepared import lone_connection
from authz_server.single_use.identifiers import ProofReplayed
from authz_server.tokens.redemption import enriched, redeem, redeeming

blueprint = Blueprint("fetching", __name__)
# What makes a P-256 key; labels that somebody gives it are of no use here.
RECIPIENT_MEMBERS: Final = ("kty", "crv", "x", "y")
REDEEM: Final = redeeming(turns.STILL_SIGNED_IN)
REFUSED: Final = (CodeNotUsable, BadProof, ProofReplayed, UseDpopNonce, InvalidRequest)


@blueprint.get("/download/<download_id>")
@identified
def page(signed_in: SignedIn, download_id: str) -> Response:
    """Show the page; or say that there is nothing to fetch any more, and how to begin anew."""
    found = _found(signed_in, download_id)
    known = {fetch.dataset_id: services().catalogue.find_dataset(fetch.dataset_id) for fetch in found.fetches}
    gone = [dataset_id for dataset_id, dataset in known.items() if dataset is None]
    g.data_origin = services().settings.proxy_url
    text = render_template(
        "fetching.html",
        signed_in=signed_in,
        reference=download_id,
        again_url=catalogue_url([dataset for dataset in known.values() if dataset]),
        ahead=ahead_of(signed_in, found),
        tokens_url=f"{services().settings.issuer}{request.path}/tokens",
        recipient=own.CLIENT_ID,
        open=not gone and _is_open(signed_in, download_id),
        gone=listed(gone, locale.current()),
        items=fetches_of(found),
        csrf=csrf.form_token(_action(download_id)),
    )
    return make_response(text)


@blueprint.post("/download/<download_id>/tokens")
@identified
def tokens(signed_in: SignedIn, download_id: str) -> Response:
    """Spend the code and issue the tokens, for the key of the proof, of data that is encrypted to the other key."""
    if not csrf.check_form(_action(download_id)):
        return json_response({"error": "form", "error_description": "The page is too old."}, 403)
    here, now = services(), clock.now()
    try:
        proof = DpopVerifier(here.settings, here.secret).verify(request)
        recipient = _recipient(request.form.get("recipient_jwk", ""))
        with lone_connection() as connection:
            code = find_code(connection, _page(download_id), citizen_id=signed_in.citizen_id, jkt=proof.jkt, now=now)
            issued = redeem(
                connection,
                code,
                jkt=proof.jkt,
                catalogue=here.catalogue,
                limits=here.settings.limits,
                spend=[dpop.identifier(proof)],
                now=now,
                recipient_jwk=recipient,
                decision=REDEEM,
                secret_digest=signed_in.session_digest,
            )
    except CodeReplayed:
        # Not as at the token endpoint: a page that is opened again must not end what the first one is fetching.
        return json_response({"error": "used", "error_description": "It was fetched by another page."}, 409)
    except REFUSED as error:
        return error_response(error)
    return json_response({"authorization_details": enriched(code, issued, here.settings)})


def _found(signed_in: SignedIn, download_id: str) -> Decided:
    found = approved(signed_in, download_id)
    if not found.is_download:
        abort(404)
    return found


def _is_open(signed_in: SignedIn, download_id: str) -> bool:
    """Whether this session can still fetch it."""
    try:
        code: CodeRow = find_code(
            db.session(), _page(download_id), citizen_id=signed_in.citizen_id, jkt="", now=clock.now()
        )
    except CodeNotUsable:
        return False
    return code.used_at is None


def _page(download_id: str) -> Page:
    return Page(cookies.session_secret() or "", download_id)


def _recipient(text: str) -> dict[str, Any]:
    """The key to encrypt to.  Raises: InvalidRequest."""
    try:
        member = orjson.loads(text)
        key = keys.recipient_jwk({name: member[name] for name in RECIPIENT_MEMBERS})
    except (ValueError, KeyError, TypeError, BadKey):
        raise InvalidRequest("recipient_jwk is not a public key on P-256.") from None
    return key


def _action(download_id: str) -> str:
    return f"download:{download_id}"
