"""Receipts: what a citizen agreed to, to keep; for programs as signed JSON, for people as PDF.

Routes
    GET /consent/<reference>/receipt.json   {receipt: claims, jws: the same claims signed, jwks_uri}
    GET /consent/<reference>/receipt.pdf    the same, in the language of the consent; its last line signs it
"""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, abort
from flask_babel import force_locale

from authz_server.consent.models import Consent
from authz_server.consent.receipt import ended_by, find_consent, receipt_of
from authz_server.core import clock, documents
from authz_server.core.jose import OWN_ALG
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity.guard import citizen_required
from authz_server.identity.sessions import SignedIn
from authz_server.identity.subjects import pairwise_subject
from authz_server.portal import locale
from authz_server.portal.receipt_pdf import receipt_pdf

blueprint = Blueprint("receipts", __name__)


@blueprint.get("/consent/<transaction_id>/receipt.json")
@citizen_required
def as_json(signed_in: SignedIn, transaction_id: str) -> Response:
    """The receipt for programs, in one file: readable, and signed."""
    known, consent = services(), own_consent(signed_in, transaction_id)
    claims = claims_of(consent, ended_by(db.session(), [consent]))
    octets = documents.seal("receipt", claims, known.keys.get(OWN_ALG))
    return file(octets, "application/json", f"receipt-{transaction_id}.json")


def claims_of(consent: Consent, actors: Mapping[str, str]) -> dict[str, Any]:
    """What a receipt that is made now says. Args: actors: see `consent.receipt.ended_by`."""
    known = services()
    return receipt_of(
        consent,
        known.registry.client(consent.client_id),
        known.catalogue,
        issuer=known.settings.issuer,
        principal=pairwise_subject(known.secret, consent.client_id, consent.citizen_id),
        actor=actors.get(consent.transaction_id),
        now=clock.now(),
    )


@blueprint.get("/consent/<transaction_id>/receipt.pdf")
@citizen_required
def as_pdf(signed_in: SignedIn, transaction_id: str) -> Response:
    """The receipt for people, in the language of the consent whatever they read now."""
    known, consent = services(), own_consent(signed_in, transaction_id)
    with force_locale(locale.CATALOGUE_OF[consent.notice_locale]):
        client = known.registry.client(consent.client_id)
        octets = receipt_pdf(consent, client, known.catalogue, issuer=known.settings.issuer)
    issued = {"iss": known.settings.issuer, "iat": int(clock.now().timestamp()), "receipt_id": transaction_id}
    octets = documents.seal_pdf(octets, issued, known.keys.get(OWN_ALG))
    return file(octets, "application/pdf", f"receipt-{transaction_id}.pdf")


def own_consent(signed_in: SignedIn, transaction_id: str) -> Consent:
    """The citizen's own consent; 404 if there is none."""
    return find_consent(db.session(), transaction_id, citizen_id=signed_in.citizen_id) or abort(404)


def file(octets: bytes, media_type: str, name: str) -> Response:
    """An answer that a browser saves. Args: name: ASCII, without quotes."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(octets, mimetype=media_type, headers=headers)
