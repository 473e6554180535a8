"""Receipts: what a citizen agreed to, to keep; for programs as signed JSON, for people as PDF.

Routes
    GET /consent/<reference>/receipt.json   {receipt: claims, jws: the same claims signed, jwks_uri}
    GET /consent/<reference>/receipt.pdf    the same, in the language of the consent
"""

import orjson
from flask import Blueprint, Response, abort
from flask_babel import force_locale

from authz_server.consent.models import Consent
from authz_server.consent.receipt import TYP, find_consent, receipt_of
from authz_server.core import clock, jose
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity.guard import citizen_required
from authz_server.identity.sessions import SignedIn
from authz_server.oauth.id_token import SIGNING_ALG, pairwise_subject
from authz_server.portal import locale
from authz_server.portal.receipt_pdf import receipt_pdf

blueprint = Blueprint("receipts", __name__)


@blueprint.get("/consent/<transaction_id>/receipt.json")
@citizen_required
def as_json(signed_in: SignedIn, transaction_id: str) -> Response:
    """The receipt for programs, in one file: readable, and signed."""
    known, consent = services(), _own(signed_in, transaction_id)
    issuer = known.settings.issuer
    claims = receipt_of(
        consent,
        known.registry.client(consent.client_id),
        known.catalogue,
        issuer=issuer,
        principal=pairwise_subject(known.secret, consent.client_id, consent.citizen_id),
        now=clock.now(),
    )
    signed = jose.sign(claims, known.keys.get(SIGNING_ALG), typ=TYP)
    document = {"receipt": claims, "jws": signed, "jwks_uri": f"{issuer}/jwks"}
    return _file(orjson.dumps(document, option=orjson.OPT_INDENT_2), "application/json", f"{transaction_id}.json")


@blueprint.get("/consent/<transaction_id>/receipt.pdf")
@citizen_required
def as_pdf(signed_in: SignedIn, transaction_id: str) -> Response:
    """The receipt for people, in the language of the consent whatever they read now."""
    known, consent = services(), _own(signed_in, transaction_id)
    with force_locale(locale.CATALOGUE_OF[consent.notice_locale]):
        client = known.registry.client(consent.client_id)
        octets = receipt_pdf(consent, client, known.catalogue, issuer=known.settings.issuer)
    return _file(octets, "application/pdf", f"{transaction_id}.pdf")


def _own(signed_in: SignedIn, transaction_id: str) -> Consent:
    consent = find_consent(db.session(), transaction_id, citizen_id=signed_in.citizen_id)
    if consent is None:
        abort(404)
    return consent


def _file(octets: bytes, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="receipt-{name}"', "Cache-Control": "no-store"}
    return Response(octets, mimetype=media_type, headers=headers)
