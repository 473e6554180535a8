"""The two languages in which people are spoken and written to."""

from typing import Final

from flask_babel import get_locale

LOCALES: Final = ("zh-TW", "en")
DEFAULT: Final = LOCALES[0]
HTML_LANG: Final = {"zh-TW": "zh-Hant-TW", "en": "en"}


def current() -> str:
    """The tag of the language that this page is being rendered in."""
    locale = get_locale()
    return "en" if locale is not None and locale.language == "en" else DEFAULT
