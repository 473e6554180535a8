"""What every template may call."""

import base64
import mimetypes
import re
from hashlib import sha256, sha384
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from flask import Flask, g, request
from flask_babel import get_translations, gettext, ngettext
from markupsafe import Markup, escape

from authz_server.consent.wording import day, duration, gap, listed
from authz_server.identity.language import HTML_LANG
from authz_server.portal import locale
from authz_server.portal.form_problem import FormProblem

# Each language by its own name, in the order of the switch: tag, lang attribute, name.
LANGUAGES: Final = tuple((tag, HTML_LANG[tag], name) for tag, name in (("zh-TW", "繁體中文"), ("en", "English")))

# And no part of a reference number.
_TELEPHONE: Final = re.compile(r"(?<![0-9A-Z-])[+(]?[0-9][0-9()# -]{4,}[0-9](?![0-9A-Z-])[，。,.]?")


def init_app(app: Flask, *, issuer: str, sandbox: bool) -> None:
    """Add the functions that base.html and its children call."""
    mimetypes.add_type("application/yaml", ".yaml")  # RFC 9512; few systems know it
    digests: dict[str, str] = {}
    scripts: dict[str, Markup] = {}

    def asset(name: str) -> str:
        """URL of a static file that changes when the file does, so that it may be cached for ever."""
        if name not in digests:
            digests[name] = sha256((Path(str(app.static_folder)) / name).read_bytes()).hexdigest()[:16]
        return f"{app.static_url_path}/{name}?v={digests[name]}"

    def script(name: str) -> Markup:
        """The element of a script of ours, bound to what it holds; no page but the one that has it may run it."""
        g.scripts_allowed = True
        if name not in scripts:
            content = (Path(str(app.static_folder)) / name).read_bytes()
            integrity = f"sha384-{base64.b64encode(sha384(content).digest()).decode()}"
            scripts[name] = Markup('<script type="module" src="{}" integrity="{}"></script>').format(
                asset(name), integrity
            )
        return scripts[name]

    # Flask-Babel looks the language up for each text, which costs a page more than everything else in it.
    app.jinja_env.install_gettext_callables(translate, ngettext, newstyle=True)  # type: ignore[attr-defined]  # its i18n
    app.jinja_env.globals |= {
        "asset": asset,
        "day": lambda moment: day(moment, locale.current()),
        "duration": lambda seconds: duration(seconds, locale.current()),
        "field_error": field_error,
        "gap": lambda: gap(locale.current()),
        "heard": heard,
        "html_lang": lambda: locale.HTML_LANG[locale.current()],
        "in_sandbox": lambda: sandbox,
        "issuer": lambda: issuer,
        "language": locale.current,
        "languages": lambda: LANGUAGES,
        "script": script,
        "switch_url": switch_url,
        "unbroken": unbroken,
    }


def translate(text: str) -> str:
    """A text of a template in the language of the page; the catalogue is found once per request."""
    found = g.get("translations")
    if found is None:
        found = g.translations = get_translations()
    return str(found.gettext(text))


def heard(*texts: object) -> Markup:
    """What a link or button is about, as far as known, for who hears it alone: in brackets of the page's language."""
    language = locale.current()
    said = listed([str(text) for text in texts if text], language)
    bracketed = f" ({said})" if language == "en" else f"（{said}）"
    return Markup('<span class="govuk-visually-hidden">{}</span>').format(bracketed)


def field_error(text: object) -> dict[str, Markup | str] | None:
    """What is wrong with a field, for a macro of govuk-frontend, whose own prefix has a half-width colon."""
    if not text or isinstance(text, FormProblem):
        return None
    prefix = Markup('<span class="govuk-visually-hidden">{}</span>').format(gettext("Error: "))
    return {"html": prefix + str(text), "visuallyHiddenText": ""}


def unbroken(text: str) -> Markup:
    """The text, its telephone numbers each in one line where that is long enough, with the comma or stop after it."""
    safe, number = escape(text), Markup('<span class="unbroken">{}</span>')
    made, at = Markup(""), 0
    for found in _TELEPHONE.finditer(safe):
        made += safe[at : found.start()] + number.format(safe[found.start() : found.end()])
        at = found.end()
    return made + safe[at:]


def switch_url(tag: str) -> str:
    """This page in another language, relative to its own address; of a form's answer, without what was filled in."""
    kept = [(name, value) for name, value in request.args.items(multi=True) if name != "lang"]
    return f"?{urlencode([*kept, ('lang', tag)])}"
