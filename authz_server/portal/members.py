"""The citizen's own area on one screen: what stands in its navigation, and what the page "Account" lists.

Whoever adds a page for citizens adds a line here; a line whose page this server does not have is left out. The pages
themselves extend `member.html`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from flask import Flask, current_app, request, url_for
from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString

from authz_server.portal import messages


@dataclass(frozen=True)
class Entry:
    """A page: its endpoint (one without arguments), what it is called, and in a line what it is.

    `also`: beginnings of addresses that belong to it besides its own and those below it.
    """

    endpoint: str
    title: LazyString
    line: LazyString
    also: tuple[str, ...] = ()
    count: Callable[[], int] | None = None  # of what waits there, asked when the navigation is shown


@dataclass(frozen=True)
class Group:
    """Entries of the page "Account" under a heading of their own."""

    heading: LazyString
    entries: tuple[Entry, ...]


# Four short words at most: they have to stand side by side on a telephone.
NAVIGATION: Final = (
    Entry(
        "consents.index",
        lazy_gettext("Consents"),
        lazy_gettext("Who you gave your data to, and what became of it."),
        also=("/consent/",),
    ),
    Entry("audit.record", lazy_gettext("Record"), lazy_gettext("Every request, decision and use of your data.")),
    Entry(
        "messages.messages",
        lazy_gettext("Messages"),
        lazy_gettext("What this platform has told you, and how."),
        count=messages.count_unread,
    ),
    Entry(
        "account.hub",
        lazy_gettext("Account"),
        lazy_gettext(
            "Your contact data, language and ways to sign in; downloads; how to stop everything or close your account."
        ),
        also=("/agent", "/counter", "/download", "/office"),
    ),
)

ACCOUNT: Final = (
    Group(
        lazy_gettext("About you"),
        (
            Entry(
                "contact.show",
                lazy_gettext("Contact data"),
                lazy_gettext("Your e-mail address and telephone number."),
            ),
            Entry(
                "account.language",
                lazy_gettext("Language"),
                lazy_gettext("The language of this platform's pages, and of its messages to you."),
            ),
            Entry(
                "messages.choices",
                lazy_gettext("Notices"),
                lazy_gettext("Choose whether you are told by e-mail and text message, too."),
            ),
        ),
    ),
    Group(
        lazy_gettext("Signing in"),
        (
            Entry(
                "methods.listed",
                lazy_gettext("Ways to sign in"),
                lazy_gettext("How you prove who you are. You can add a way, and remove one."),
            ),
            Entry(
                "sessions.listed",
                lazy_gettext("Where you are signed in"),
                lazy_gettext("The browsers in which you are signed in. You can sign out of each from here."),
            ),
        ),
    ),
    Group(
        lazy_gettext("Your data in your hands"),
        (
            Entry(
                "download.catalogue",
                lazy_gettext("Download your data"),
                lazy_gettext("Get it from the agencies into this browser, for you alone and signed by them."),
            ),
            Entry(
                "counter.offices",
                lazy_gettext("Take data to a counter"),
                lazy_gettext("Take data to the counter of an office, by a barcode."),
            ),
            Entry(
                "agent.start",
                lazy_gettext("Go to a counter for somebody else"),
                lazy_gettext("Use the invitation of the person you go for, and see what you have accepted."),
            ),
            Entry(
                "export.page",
                lazy_gettext("Download my record"),
                lazy_gettext("As a table, or signed by this platform with all receipts."),
            ),
            Entry(
                "freeze.ask_to_freeze",
                lazy_gettext("Stop everything"),
                lazy_gettext("One button: nothing of yours is sent any more, until you say so."),
            ),
            Entry(
                "leave.consequences",
                lazy_gettext("Close your account"),
                lazy_gettext("Everything ends, and what says who you are is erased."),
            ),
        ),
    ),
)


@dataclass(frozen=True)
class Link:
    """An entry of the navigation on the present page."""

    url: str
    title: LazyString
    line: LazyString
    here: bool  # the present page, or one that belongs to it
    count: int = 0


def init_app(app: Flask) -> None:
    """Add what `base.html` and `member.html` call."""
    app.jinja_env.globals |= {"navigation": navigation}


def navigation(*, counted: bool = True) -> Sequence[Link]:
    """The navigation, as the present page shows it. Args: counted: also say how much waits where."""
    return [
        Link(url, entry.title, entry.line, _belongs(url, entry), entry.count() if counted and entry.count else 0)
        for url, entry in _existing(NAVIGATION)
    ]


def account() -> Sequence[tuple[LazyString, Sequence[Link]]]:
    """What the page "Account" lists: headings, each with its entries."""
    groups = [
        (group.heading, [Link(url, entry.title, entry.line, False) for url, entry in _existing(group.entries)])
        for group in ACCOUNT
    ]
    return [(heading, links) for heading, links in groups if links]


def _existing(entries: Sequence[Entry]) -> Iterator[tuple[str, Entry]]:
    for entry in entries:
        if entry.endpoint in current_app.view_functions:
            yield url_for(entry.endpoint), entry


def _belongs(url: str, entry: Entry) -> bool:
    return request.path == url or request.path.startswith((f"{url}/", *entry.also))
