"""The page "Account", and the language of the account.

Routes
    GET  /account            what there is (see `portal.members`); ?unfrozen: says that the account is open again
    GET  /account/language   the choice
    POST /account/language   form: csrf, locale; changes it and shows the choice in that language
"""

from typing import Final

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from authz_server.counter import appointments
from authz_server.database import db
from authz_server.identity import csrf
from authz_server.identity.guard import citizen_required
from authz_server.identity.language import LOCALES
from authz_server.identity.service import set_locale
from authz_server.identity.sessions import SignedIn
from authz_server.portal import members
from authz_server.portal.context import LANGUAGES
from authz_server.portal.form_problem import too_old

blueprint = Blueprint("account", __name__)
ACTION: Final = "language"


@blueprint.get("/account")
@citizen_required
def hub(signed_in: SignedIn) -> str:
    """List what belongs to the account."""
    works = bool(appointments.held_by(db.session(), signed_in.citizen_id))
    unfrozen = signed_in.frozen_at is None and "unfrozen" in request.args
    return render_template(
        "account.html",
        signed_in=signed_in,
        groups=members.account(),
        works=works,
        done=gettext("Your account is no longer frozen. Requests can be agreed to again.") if unfrozen else None,
    )


@blueprint.get("/account/language")
@citizen_required
def language(signed_in: SignedIn) -> Response:
    """Show the languages and which one it is, if one was chosen."""
    return _language_page(signed_in, done=gettext("Saved.") if "saved" in request.args else None)


@blueprint.post("/account/language")
@citizen_required
def choose_language(signed_in: SignedIn) -> Response:
    """Remember the language; the pages change to it at once."""
    if not csrf.check_form(ACTION):
        return _language_page(signed_in, error=too_old(), status=403)
    locale = request.form.get("locale", "")
    if locale not in LOCALES:
        return _language_page(signed_in, error=gettext("Choose a language."), status=400)
    set_locale(db.session(), signed_in.citizen_id, locale=locale)
    db.session.commit()
    # What was chosen in this browser before stands in a cookie and would win: `lang` replaces that as well.
    return redirect(url_for("account.language", lang=locale, saved=1), code=303)


def _language_page(
    signed_in: SignedIn, *, done: str | None = None, error: str | None = None, status: int = 200
) -> Response:
    page = render_template(
        "language.html",
        signed_in=signed_in,
        items=[
            {"id": f"locale-{tag}", "value": tag, "text": name, "label": {"attributes": {"lang": lang}}}
            | {"checked": tag == signed_in.locale}
            for tag, lang, name in LANGUAGES
        ],
        chosen=bool(signed_in.locale),
        csrf=csrf.form_token(ACTION),
        done=done,
        error=error,
    )
    return make_response(page, status)
