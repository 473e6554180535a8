"""Which of the two languages a page speaks, and how a person changes it.

In this order: what they just chose (`lang`, in a link or on a button of a form), what they chose before (cookie),
what their account says if one was chosen there, what the client asked for (`ui_locales`), what the browser prefers;
else 繁體中文.
"""

from datetime import datetime
from typing import Final

from babel import Locale
from flask import Flask, Response, g, request
from flask_babel import Babel
from werkzeug.exceptions import HTTPException

from authz_server.consent import wording
from authz_server.identity.language import DEFAULT, HTML_LANG, current

__all__ = ["CATALOGUE_OF", "DEFAULT", "HTML_LANG", "chosen", "current", "init_app", "moment", "select", "supported"]

# The tag in cookies and records, and the name of its gettext catalogue.
CATALOGUE_OF: Final = {"zh-TW": "zh_Hant_TW", "en": "en"}
COOKIE: Final = "lang"
COOKIE_MAX_AGE_S: Final = 365 * 24 * 3600


def init_app(app: Flask, *, secure: bool) -> None:
    """Select the language of each page, and remember it when the person changes it."""
    app.config["BABEL_DEFAULT_LOCALE"] = CATALOGUE_OF[DEFAULT]
    # Parsed here, else it would be for each page.
    locales = {tag: Locale.parse(name) for tag, name in CATALOGUE_OF.items()}
    Babel(app, locale_selector=lambda: locales[select()])  # type: ignore[no-untyped-call]  # it has no annotations

    @app.after_request
    def remember(response: Response) -> Response:
        if response.mimetype == "text/html" and (tag := chosen()) is not None:
            response.set_cookie(
                COOKIE, tag, max_age=COOKIE_MAX_AGE_S, secure=secure, httponly=True, samesite="Lax", path="/"
            )
        return response


def select() -> str:
    """The tag of the language for this request: "zh-TW" or "en"."""
    for wish in (
        chosen(),
        request.cookies.get(COOKIE),
        g.get("citizen_locale"),
        *str(g.get("ui_locales") or "").split(),
        *request.accept_languages.values(),
    ):
        if (tag := supported(wish)) is not None:
            return tag
    return DEFAULT


def chosen() -> str | None:
    """The language that the person has just asked for with `lang`, if it is one of ours."""
    wish = request.args.get("lang")
    if wish is None and request.method == "POST":
        try:
            wish = request.form.get("lang")
        except HTTPException:  # a form too large to be read: its error page has a language, too
            return None
    return wish if wish in CATALOGUE_OF else None


def supported(wish: str | None) -> str | None:
    """Match a BCP 47 tag with one of ours: any English, and any Chinese (all of it better served by zh-TW)."""
    language = (wish or "").lower().replace("_", "-").partition("-")[0]
    return {"zh": "zh-TW", "en": "en"}.get(language)


def moment(at: datetime | None) -> str | None:
    """A day and a time in the language of the page; None if there is none."""
    return wording.moment(at, current()) if at else None
