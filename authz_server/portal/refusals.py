"""What no page of ours ever sends, refused before any view sees it.

A NUL is text to Python and SQLite, and an error to PostgreSQL: as part of a name in an address or a form it would be a
500 there; so would a line break in an address that is led on to. Two readers of a doubled field may read different
ones, so that there is no right one. And a body that is too large is found out here, where its own error page can still
be made.
"""

from typing import Final

from flask import Flask, abort, request

from authz_server.portal import verify
from authz_server.portal.errors import for_people

SEVERAL: Final = frozenset({"channel", "optional"})  # fields of which a form has one for each choice


def init_app(app: Flask) -> None:
    """Look at every request for a page. Back-channel forms have a stricter reader of their own (`oauth.params`)."""

    @app.before_request
    def refuse() -> None:
        if not for_people():
            return
        if request.endpoint == "verify.check":
            request.max_content_length = request.max_form_memory_size = verify.MAX_BYTES
        if not request.path.isprintable() or any("\0" in value for value in _values()):
            abort(400)
        if any(len(values) > 1 and name not in SEVERAL for name, values in request.form.lists()):
            abort(400)


def _values() -> list[str]:
    # The form first: if it is too large this raises 413, whatever else is wrong.
    sources = [request.form, request.args] if request.method == "POST" else [request.args]
    return [text for source in sources for name, value in source.items(multi=True) for text in (name, value)]
