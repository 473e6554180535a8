"""Lists that are shown a page at a time, newest first: the address of a page names the last thing seen before it, and
the period that is asked for.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from flask import abort, request
from flask_babel import gettext

from authz_server.audit.service import NEWEST, Position
from authz_server.core.clock import LOCAL_TIME


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


@dataclass(frozen=True, kw_only=True)
class Period:
    """Days in Taiwan as they stand in the address, both included; "": open to this side."""

    first: str = ""
    last: str = ""

    @property
    def since(self) -> datetime | None:
        """The moment in which it begins."""
        found = _day(self.first)
        return datetime.combine(found, time(), LOCAL_TIME) if found else None

    @property
    def until(self) -> datetime | None:
        """The moment in which it is over."""
        found = _day(self.last)
        return datetime.combine(found + timedelta(days=1), time(), LOCAL_TIME) if found else None

    @property
    def end(self) -> Position | None:
        """The place of `until` in a record."""
        return Position(self.until, 0) if self.until else None


def period() -> tuple[Period, dict[str, str]]:
    """`from` and `to` in the address, and what is wrong with either: a text for each, which then counts as empty."""
    asked = {name: request.args.get(name, "").strip() for name in ("from", "to")}
    problems = {
        name: gettext("Enter a day as year-month-day, such as 2026-11-23.")
        for name, text in asked.items()
        if text and _day(text) is None
    }
    first, last = (_day(text) for text in asked.values())
    if first and last and last < first:
        problems["to"] = gettext("The last day is before the first.")
    asked |= dict.fromkeys(problems, "")
    return Period(first=asked["from"], last=asked["to"]), problems


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if 2000 <= found.year < 3000 else None
