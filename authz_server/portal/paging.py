"""Lists that are shown a page at a time, newest first: the address of a page names the last thing seen before it."""

from flask import abort, request

from authz_server.audit.service import NEWEST, Position


def before_id() -> int | None:
    """The id before which the present page begins; None: it is the first. What can't be an id is not found."""
    value = request.args.get("before")
    return None if value is None else id_of(value)


def id_of(text: str) -> int:
    """The id that a part of an address says. What can't be one is not found."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        abort(404)
    return int(text)


def position() -> Position:
    """Of a record: `before` in the address, where the page begins; 404 if there is no such place."""
    value = request.args.get("before")
    if value is None:
        return NEWEST
    try:
        return Position.parse(value)
    except ValueError:
        abort(404)
