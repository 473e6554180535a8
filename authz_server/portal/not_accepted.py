"""What the page of whoever brings a barcode says once a counter did not accept it, or its one-time code: why, and what
to do next. They stand in front of somebody who waits.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from flask_babel import gettext, lazy_gettext
from flask_babel.speaklater import LazyString

from authz_server.audit.models import AuditEntry
from authz_server.consent.wording import duration, time_of_day
from authz_server.core import clock
from authz_server.counter import agents
from authz_server.counter.desk import ANNOUNCED, REFUSED, tries_left
from authz_server.counter.service import Visit
from authz_server.database import db
from authz_server.extensions import services
from authz_server.portal import locale
from authz_server.portal.record_wording import REASONS

AGAINST: Final = frozenset({REFUSED, agents.OF_CITIZEN + "refused", agents.OF_AGENT + "refused"})
OF_VISITS: Final = ("counter.", agents.OF_CITIZEN, agents.OF_AGENT)
# By the reason on the record.
NEXT: Final[Mapping[str, LazyString]] = {
    "code_too_late": lazy_gettext("The clerk can have another one sent."),
    "dataset_gone": lazy_gettext("Choose the service again."),
    "elsewhere": lazy_gettext("Go to that counter, or wait here until the one-time code has expired."),
    "locked": lazy_gettext("The clerk can have another one sent."),  # for it is so no longer
    "own_clerk": lazy_gettext("Ask for another clerk."),
    "shown_again": lazy_gettext("Only the newest one counts."),
    "too_late": lazy_gettext("Show a new one."),
    "wrong_office": lazy_gettext("Take it to the office that it is for."),
}


def said_of(
    visit: Visit, steps: Sequence[AuditEntry], *, has_code: bool, brings: bool = True
) -> tuple[list[str], bool]:
    """Sentences on what the counter did not accept, none if there is nothing to say; and whether it is locked now.

    Args: steps: on the record of whose page it is, the newest first; has_code: there is a one-time code to be told;
        brings: they bring the barcode themselves, and can do something about it.
    """
    newest = next((entry for entry in steps if entry.event.startswith(OF_VISITS)), None)
    if newest is None or visit.open_until is None:
        return [], False
    if not any(entry.event in AGAINST for entry in steps):
        return ([] if has_code else _run_out(newest)), False
    limits = services().settings.limits
    left, locked_until = tries_left(db.session(), visit.consent_id, limits=limits, now=clock.now())
    if locked_until is not None:
        until = gettext("Locked until %(time)s: too many one-time codes were wrong.", time=time_of_day(locked_until))
        then = gettext("Then let the clerk scan the barcode again, and tell the new code.")
        return [until, then] if brings else [until], True
    if newest.event not in AGAINST:
        return ([] if has_code else _run_out(newest)), False
    reason = newest.reason or ""
    said = [gettext("Refused just now:"), REASONS.get(reason), NEXT.get(reason) if brings else None]
    if reason == "wrong_code" and brings:
        lock = duration(limits.sign_in_lock_s, locale.current())
        said += [
            gettext("Tell it once more, digit by digit.") if has_code else NEXT["code_too_late"],
            gettext("Tries left: %(count)s; then the barcode is locked for %(duration)s.", count=left, duration=lock),
        ]
    return [str(one) for one in said if one is not None], False


def _run_out(newest: AuditEntry) -> list[str]:
    """The code was there a moment ago, and nobody typed it."""
    if newest.event != ANNOUNCED:
        return []
    return [gettext("The one-time code has expired."), str(NEXT["code_too_late"])]
