"""Anybody checks whether a receipt or an exported record is what this platform signed. Nothing of it is kept.

Routes
    GET  /verify       the form
    POST /verify       form: csrf, document (a file) or text (pasted); says what it is, or what is wrong with it
    GET  /recipients   by client id what they are called that packages may be made for; public, cacheable

The command `mydata verify` does the same without this server. Packages of agencies, which hold data, are verified by a
script of the page (static/verify.js), and stay in the browser; only the public catalogue is asked for, and the list of
all recipients, so that nobody learns whose package it is.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

from flask import Blueprint, make_response, render_template, request
from flask_babel import gettext, lazy_gettext
from flask_babel.speaklater import LazyString
from werkzeug.wrappers import Response

from authz_server.catalogue.model import Text
from authz_server.catalogue.views import for_everybody
from authz_server.clients import own
from authz_server.consent.wording import listed
from authz_server.core import documents, packages
from authz_server.core.documents import Cause, Genuine, Kind, NotGenuine
from authz_server.extensions import services
from authz_server.identity import cookies, csrf
from authz_server.identity.guard import current
from authz_server.portal import form_problem, locale
from authz_server.portal.locale import moment

blueprint = Blueprint("verify", __name__)
ACTION: Final = "verify"
MAX_BYTES: Final = 4 * 1024 * 1024  # of the whole form; what is larger is for the command
MOST_REPEATED: Final = 64 * 1024  # of what was pasted, shown again
WRONG: Final[Mapping[Cause, LazyString]] = {
    "form": lazy_gettext("It is not a receipt or a record of this platform, or a part of it is missing."),
    "key": lazy_gettext("It is signed with a key that this platform has not published."),
    "signature": lazy_gettext("Its signature is wrong: it was changed, or not signed by this platform."),
    "text": lazy_gettext(
        "The part to read is not what was signed. Somebody changed it, or a program saved it in another form."
    ),
    "issuer": lazy_gettext("It is signed for another platform."),
}


PACKAGE: Final = lazy_gettext(
    "A package of an agency is checked in your own browser, for which it needs JavaScript; or by the command "
    "mydata verify. It was not looked at here."
)


@blueprint.get("/verify")
def form() -> Response:
    """Show the form."""
    return _page()


@blueprint.post("/verify")
def check() -> Response:
    """Verify what was sent and say what it is."""
    if not csrf.check(cookies.form_secret(), ACTION, request.form.get("csrf")):
        return _page(error=form_problem.of_nobody(), status=403)
    sent = _sent()
    if not sent:
        # The language was switched, or nothing was chosen.
        error = None if "lang" in request.form else gettext("Choose a file, or paste its text.")
        return _page(error=error, status=200 if error is None else 400)
    if packages.is_package(sent):
        return _page(error=str(PACKAGE), status=400)
    known = services()
    try:
        genuine = documents.verify(sent, known.keys, issuer=known.settings.issuer)
    except NotGenuine as wrong:
        return _page(wrong=str(WRONG[wrong.cause]))
    return _page(facts=_facts(genuine))


@blueprint.get("/recipients")
def recipients() -> Response:
    """List the names of all clients that packages are made for, in both languages."""
    return for_everybody({name: one.name.to_json() for name, one in services().registry.recipients().items()})


def _sent() -> bytes:
    """The file, or else what was pasted; of that, the line ends as they were before a browser made them its own."""
    chosen = request.files.get("document")
    octets: bytes = chosen.read() if chosen is not None else b""
    if octets:
        return octets
    return request.form.get("text", "").replace("\r\n", "\n").strip().encode("utf-8", "surrogatepass")


def _facts(genuine: Genuine) -> list[tuple[str, str]]:
    """What was verified: what it is about, whose it is, by which key, and of when."""
    about = ABOUT[genuine.kind](genuine.claims)
    return [
        *about,
        (gettext("Signed by"), genuine.issuer),
        (gettext("Signed on"), moment(genuine.signed_at) or ""),
        (gettext("Key"), genuine.kid),
    ]


def _of_receipt(claims: Mapping[str, Any]) -> list[tuple[str, str]]:
    (purpose,) = claims["pii_processing"]["purposes"]
    given, *later = claims["event"]
    recipient = claims["party_identification"][0]
    then = partial(_spoken, then=claims["pii_processing"]["language"])
    find, client = services().catalogue.find_dataset, services().registry.client(recipient["party_id"])
    names = Text(**recipient["names"]) if recipient["names"] else None
    registered = client.purposes.get(purpose["purpose_id"] or "") if client else None
    datasets = [(item["name"], find(item["dataset"])) for item in purpose["datasets"]]
    facts = [
        (gettext("What it is"), gettext("Receipt of a consent")),
        (gettext("Reference number"), claims["receipt_id"]),
        (gettext("Recipient"), then(recipient["party_name"], names)),
        (gettext("Purpose"), then(purpose["purpose"] or "", registered.text if registered else None)),
        (
            gettext("Data"),
            listed([then(name, known.name if known else None) for name, known in datasets], locale.current()),
        ),
        (gettext("Given on"), moment(datetime.fromisoformat(given["event_time"])) or ""),
        *((gettext("Stopped"), moment(datetime.fromisoformat(event["event_time"])) or "") for event in later),
    ]
    return [(name, value) for name, value in facts if value]


def _spoken(signed: str, known: Text | None, *, then: str) -> str:
    """In the language of the page what was signed in that of its day, if it is still what is known; else as signed."""
    return known.get(locale.current()) if known and known.get(then) == signed else signed


def _of_record(claims: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [
        (gettext("What it is"), gettext("Record of one citizen, in whole or in part")),
        (gettext("Entries"), str(len(claims["entries"]))),
        (gettext("Receipts in it"), str(len(claims["receipts"]))),
    ]
    if claims["entries"]:
        newest, oldest = (datetime.fromisoformat(claims["entries"][place]["at"]) for place in (0, -1))
        facts += [(gettext("Newest entry"), moment(newest) or ""), (gettext("Oldest entry"), moment(oldest) or "")]
    return facts


def _of_pdf(claims: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (gettext("What it is"), gettext("Receipt of a consent, as PDF: what you read in it is what was signed")),
        (gettext("Reference number"), claims["receipt_id"]),
    ]


ABOUT: Final[Mapping[Kind, Callable[[Mapping[str, Any]], list[tuple[str, str]]]]] = {
    "receipt": _of_receipt,
    "record": _of_record,
    "pdf": _of_pdf,
}


def _page(
    *,
    facts: list[tuple[str, str]] | None = None,
    wrong: str | None = None,
    error: str | None = None,
    status: int = 200,
) -> Response:
    secret = cookies.form_secret() or cookies.new_form_secret()
    text = request.form.get("text", "") if request.method == "POST" else ""
    response = make_response(
        render_template(
            "verify.html",
            signed_in=current(),
            facts=facts,
            wrong=wrong,
            error=error,
            text=text if len(text) <= MOST_REPEATED else "",
            own_client=own.CLIENT_ID,
            issuer=services().settings.issuer,
            csrf=csrf.csrf_token(secret, ACTION),
        ),
        status,
    )
    cookies.keep_form_secret(response, secret)
    return response
