"""The citizen's inbox, and where else they are told.

Routes
    GET  /messages                 newest first, a page at a time
    GET  /messages/<id>            one of them; from then on it counts as read
    POST /messages/read            form: csrf, up_to; all up to that one count as read
    GET  /account/notices          what goes where
    POST /account/notices          form: csrf, channel (any number); what can be switched off goes there alone
"""

from dataclasses import dataclass
from typing import Final

from flask import Blueprint, abort, make_response, redirect, render_template, request
from flask_babel import gettext
from werkzeug.wrappers import Response

from authz_server.core import clock
from authz_server.core.clock import LOCAL_TIME
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import csrf, enrolment, turns
from authz_server.identity.contact import contact_of
from authz_server.identity.guard import citizen_required, current
from authz_server.identity.sessions import SignedIn
from authz_server.notices import inbox
from authz_server.notices.channels import REGISTRY, kinds
from authz_server.notices.channels.base import Channel
from authz_server.notices.letter import Writer
from authz_server.portal import locale
from authz_server.portal.form_problem import too_old
from authz_server.portal.locale import moment
from authz_server.portal.paging import before_id, id_of

blueprint = Blueprint("messages", __name__)
PER_PAGE: Final = 20
READ: Final = "messages-read"
CHOOSE: Final = "notices"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One message in the list."""

    id: int
    title: str
    at: str
    when: str
    unread: bool


@blueprint.get("/messages")
@citizen_required
def messages(signed_in: SignedIn) -> str:
    """List them."""
    before = before_id()
    found = inbox.messages_of(db.session(), signed_in.citizen_id, before=before, limit=PER_PAGE + 1)
    shown, writer = found[:PER_PAGE], Writer(services())
    return render_template(
        "messages.html",
        signed_in=signed_in,
        messages=[
            Line(
                id=entry.id,
                title=writer.title(entry, locale.current()),
                at=entry.at.astimezone(LOCAL_TIME).isoformat(timespec="seconds"),
                when=moment(entry.at) or "",
                unread=read_at is None,
            )
            for entry, read_at in shown
        ],
        unread=any(read_at is None for _, read_at in shown),
        up_to=shown[0][0].id if shown else 0,
        older=f"/messages?before={shown[-1][0].id}" if len(found) > PER_PAGE else None,
        newest="/messages" if before is not None else None,
        csrf=csrf.form_token(READ),
    )


@blueprint.get("/messages/<message_id>")
@citizen_required
def message(signed_in: SignedIn, message_id: str) -> str:
    """Show one, and remember that it was read."""
    opened = inbox.open_message(db.session(), signed_in.citizen_id, id_of(message_id), now=clock.now())
    if opened is None:
        abort(404)
    part = Writer(services()).part(opened.errand, locale.current())
    names = {kind.id: kind.name.get(locale.current()) for kind in REGISTRY}
    others = [
        {"channel": names.get(row.channel, row.channel), "delivered": moment(row.delivered_at), "failed": row.failed_at}
        for row in opened.others
    ]
    db.session.commit()
    return render_template("message.html", signed_in=signed_in, part=part, others=others)


@blueprint.post("/messages/read")
@citizen_required
def read_all(signed_in: SignedIn) -> Response:
    """Count all as read, up to the newest that was on the page: who presses it has not seen what came since."""
    up_to = id_of(request.form.get("up_to", ""))
    if csrf.check_form(READ):
        inbox.read_all(db.session(), signed_in.citizen_id, up_to=up_to, now=clock.now())
        db.session.commit()
    return redirect("/messages", code=303)


@blueprint.get("/account/notices")
@citizen_required
def choices(signed_in: SignedIn) -> Response:
    """Show what goes where."""
    return _choices_page(signed_in, done=gettext("Saved.") if "saved" in request.args else None)


@blueprint.post("/account/notices")
@enrolment.strongly
def choose(signed_in: SignedIn) -> Response:
    """Remember the choice. What concerns security goes everywhere, whatever is chosen."""
    if not csrf.check_form(CHOOSE):
        return _choices_page(signed_in, error=too_old(), status=403)
    wanted = request.form.getlist("channel")
    turns.hold(db.session(), signed_in)
    for kind in _optional():
        inbox.choose(db.session(), signed_in.citizen_id, kind.id, wanted=kind.id in wanted)
    db.session.commit()
    return redirect("/account/notices?saved=1", code=303)


def _choices_page(
    signed_in: SignedIn, *, done: str | None = None, error: str | None = None, status: int = 200
) -> Response:
    chosen = inbox.choices_of(db.session(), signed_in.citizen_id)
    contact = contact_of(db.session(), signed_in.citizen_id)
    reached = {"email": contact.email_verified_at and contact.email, "sms": contact.phone_verified_at and contact.phone}
    page = render_template(
        "notices.html",
        signed_in=signed_in,
        items=[
            {
                "id": f"channel-{kind.id}",
                "value": kind.id,
                "text": kind.name.get(locale.current()),
                "hint": {"text": reached.get(kind.id) or gettext("You have given none yet.")},
                "checked": chosen.get(kind.id, kind.default),
            }
            for kind in _optional()
        ],
        csrf=csrf.form_token(CHOOSE),
        done=done,
        error=error,
    )
    return make_response(page, status)


def count_unread() -> int:
    """How many messages of the present citizen nobody has opened: one statement, where the navigation is shown."""
    signed_in = current()
    return inbox.count_unread(db.session(), signed_in.citizen_id) if signed_in is not None else 0


def _optional() -> list[type[Channel]]:
    return [kind for kind in kinds(services().settings) if kind.default is not None]
