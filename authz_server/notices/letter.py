"""A message in full: what happened, to whom the data goes, when, why it is told, and the way to say "not me"."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from authz_server.audit.models import AuditEntry
from authz_server.clients import own
from authz_server.consent import download
from authz_server.consent.outcome import WITHDRAWN
from authz_server.consent.wording import duration, gap, listed, moment
from authz_server.counter import service as counter
from authz_server.counter.agents import OF_AGENT
from authz_server.counter.codes import one_time_code
from authz_server.counter.desk import ANNOUNCED
from authz_server.counter.naming import desk_name
from authz_server.extensions import Services
from authz_server.identity.contact import PROPOSED
from authz_server.identity.language import HTML_LANG, LOCALES
from authz_server.identity.sign_in_codes import SENT
from authz_server.notices import not_me
from authz_server.notices.channels.base import Errand
from authz_server.notices.downloads import told_of
from authz_server.notices.phrases import say
from authz_server.notices.told import Told
from authz_server.tokens.readiness import READY

LEFT: Final = "account.left"  # whose reader has no account any more
WITH_RECEIPT: Final = ("consent.approved", "consent.withdrawn")
# What brings a code, and how its sentences begin.
CODES: Final = {PROPOSED: "code", ANNOUNCED: "visit_code", SENT: "sign_in_code"}
OF_OFFICES: Final = ("office.",)  # which receive nothing of the reader
# What leads to the page of a consent; the rest leads to the record.
OF_CONSENTS: Final = ("consent.", "token.", "code.", "counter.", "delegation.", "anomaly.")


@dataclass(frozen=True, kw_only=True)
class Part:
    """The message in one language."""

    locale: str
    title: str
    more: str
    facts: tuple[tuple[str, str], ...]  # label, text
    links: tuple[tuple[str, str], ...]  # label, URL
    not_me: tuple[str, ...]  # question, explanation, URL; or nothing
    why: tuple[str, ...]
    closing: str

    def lines(self) -> list[str]:
        return [
            self.title,
            "",
            self.more,
            "",
            *(say("fact", self.locale, label=label, text=text) for label, text in self.facts),
            "",
            *(line for label, url in self.links for line in (label, url, "")),
            *self.not_me,
            *([""] if self.not_me else []),
            *self.why,
            *([""] if self.why else []),
            self.closing,
        ]

    def html(self) -> str:
        facts = "".join(f"<dt><b>{escape(label)}</b></dt><dd>{escape(text)}</dd>" for label, text in self.facts)
        links = "".join(f'<p><a href="{escape(url)}">{escape(label)}</a></p>' for label, url in self.links)
        why = "<br>".join(f'<a href="{escape(w)}">{escape(w)}</a>' if "://" in w else escape(w) for w in self.why)
        return (
            f'<div lang="{HTML_LANG[self.locale]}"><h1>{escape(self.title)}</h1><p>{escape(self.more)}</p>'
            f"<dl>{facts}</dl>{links}"
            f"{self._not_me_html()}<p>{why}</p><p>{escape(self.closing)}</p></div>"
        )

    def _not_me_html(self) -> str:
        if not self.not_me:
            return ""
        question, explanation, url = map(escape, self.not_me)
        return f'<h2>{question}</h2><p><a href="{url}">{explanation}</a></p>'


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A message in both languages, the reader's first."""

    parts: tuple[Part, ...]

    @property
    def subject(self) -> str:
        # A header is one line, whatever a name may hold.
        return " / ".join(" ".join(part.title.split()) for part in self.parts)

    def as_text(self) -> str:
        rule = ["", "-" * 40, ""]
        return "\n".join([*self.parts[0].lines(), *(line for part in self.parts[1:] for line in rule + part.lines())])

    def as_html(self) -> str:
        parts = "<hr>".join(part.html() for part in self.parts)
        return (
            f'<!doctype html><html lang="{HTML_LANG[self.parts[0].locale]}"><head><meta charset="utf-8">'
            f"<title>{escape(self.subject)}</title></head><body>{parts}</body></html>"
        )


class Writer:
    """Puts events into words, with the names of the registered clients and the catalogue's datasets."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def write(self, errand: Errand) -> Letter:
        """The message in both languages.  Raises: LookupError: nobody is told of that any more."""
        _demand_words(errand.entry)
        order = sorted(LOCALES, key=lambda locale: locale != errand.reader.locale)
        return Letter(parts=tuple(self.part(errand, locale) for locale in order))

    def write_short(self, errand: Errand) -> str:
        """The message for a telephone, in the reader's language alone.  Raises: as `write`."""
        locale, entry = errand.reader.locale, errand.entry
        _demand_words(entry)
        if entry.event == ANNOUNCED:
            return say("sms_visit_code", locale, code=self._code(errand), good_for=self._good_for(errand, locale))
        if entry.event == PROPOSED:
            return say("sms_code", locale, code=self._code(errand), good_for=self._good_for(errand, locale))
        client = self._services.registry.client(entry.client_id) if entry.client_id else None
        pieces = [
            say("sms", locale, title=self.title(entry, locale), when=self._when(errand, locale)),
            say("sms_reference", locale, reference=entry.transaction_id) if entry.transaction_id else "",
            say("sms_phone", locale, phone=client.contact_phone) if client and client.contact_phone else "",
            say(f"sms_{_why(told_of(entry))}", locale),
        ]
        told = " ".join(piece for piece in pieces if piece)
        if entry.event == LEFT:
            return told
        return told + gap(locale) + say("sms_not_me", locale, url=self._not_me(errand, locale))

    def title(self, entry: AuditEntry, locale: str) -> str:
        """The event in a few words; its name, if it is none that is told of any more."""
        told = told_of(entry)
        if told is None:
            return entry.event
        datasets = (entry.dataset_id,) if entry.dataset_id else ()
        return _sentence(told.title.get(locale), self._names(entry, datasets, locale))

    def part(self, errand: Errand, locale: str) -> Part:
        """The message in one language; one of an event that is told no more has a name and facts, and no sentence."""
        if errand.entry.event in CODES:
            return self._code_part(errand, locale)
        entry, issuer = errand.entry, self._services.settings.issuer
        told = told_of(entry)
        client = self._services.registry.client(entry.client_id) if entry.client_id else None
        names = self._names(entry, errand.datasets, locale)
        facts = [
            ("when", self._when(errand, locale)),
            ("to", names["client"] if entry.client_id and not entry.event.startswith(OF_OFFICES) else ""),
            ("counter", self._desk(errand, locale)),
            ("phone", client.contact_phone if client else ""),
            ("by", self._ended_by(entry, names, locale)),
            ("what", names["dataset"]),
            ("reference", entry.transaction_id or ""),
        ]
        links = [("see_record", f"{issuer}/record")]
        if entry.transaction_id and entry.event.startswith(OF_CONSENTS):
            links = [("see_consent", f"{issuer}/consent/{entry.transaction_id}/outcome")]
        if entry.event == READY:
            place = download.PATH if entry.client_id == own.CLIENT_ID else counter.PATH
            links = [("go_on", f"{issuer}{place}/{entry.transaction_id}")]
        if entry.transaction_id and entry.event.startswith(OF_AGENT):
            links = [("see_consent", f"{issuer}/agent/{entry.transaction_id}")]
        if entry.event in WITH_RECEIPT:
            links.append(("get_receipt", f"{issuer}/consent/{entry.transaction_id}/receipt.pdf"))
        first_time = say("first_time", locale, **names) if errand.first_time else ""
        more = _sentence(told.more.get(locale), names) if told else ""
        gone = entry.event == LEFT
        why = [_why(told)] if told and told.security else [_why(told), f"{issuer}/account/notices"]
        return Part(
            locale=locale,
            title=self.title(entry, locale),
            more=f"{first_time}{gap(locale) if first_time else ''}{more}",
            facts=tuple((say(label, locale), text) for label, text in facts if text),
            links=() if gone else tuple((say(label, locale), url) for label, url in links),
            not_me=() if gone else (say("not_me", locale), say("not_me_more", locale), self._not_me(errand, locale)),
            why=(say("fact", locale, label=say("why", locale), text=say(why[0], locale)), *why[1:]),
            closing=say("never_ask", locale),
        )

    def _code_part(self, errand: Errand, locale: str) -> Part:
        """A code for whoever reads at this address, who may be a stranger: it says nothing of whose account it is."""
        name = CODES[errand.entry.event]
        return Part(
            locale=locale,
            title=say("code_title", locale),
            more=say(f"{name}_more", locale, good_for=self._good_for(errand, locale)),
            facts=((say("code", locale), self._code(errand)),),
            links=(),
            not_me=(),
            why=(),
            closing=say(f"{name}_not_me", locale),
        )

    def _code(self, errand: Errand) -> str:
        if errand.barcode:
            return one_time_code(self._services.secret, errand.barcode.digest, errand.barcode.announced_at)
        if errand.sign_in_code:
            return errand.sign_in_code.digits(self._services.secret)
        return errand.change.code(self._services.secret) if errand.change else ""

    def _good_for(self, errand: Errand, locale: str) -> str:
        """How long a code is."""
        limits = self._services.settings.limits
        if errand.entry.event == ANNOUNCED:
            ttl_s = limits.visit_code_ttl_s
        else:
            ttl_s = limits.email_code_ttl_s if errand.sign_in_code else limits.contact_code_ttl_s
        return duration(ttl_s, locale)

    def _names(self, entry: AuditEntry, datasets: Sequence[str], locale: str) -> dict[str, str]:
        services = self._services
        client = services.registry.client(entry.client_id) if entry.client_id else None
        names = [
            dataset.name.get(locale) if (dataset := services.catalogue.find_dataset(name)) else name
            for name in datasets
        ]
        known = client.name.get(locale) if client else entry.client_id
        return {
            "client": known or say("somebody", locale),
            "dataset": listed(names, locale),
            "lock": duration(services.settings.limits.sign_in_lock_s, locale),
        }

    def _ended_by(self, entry: AuditEntry, names: dict[str, str], locale: str) -> str:
        """Who ended a consent, if it was not the citizen; else nothing."""
        if entry.event != WITHDRAWN or entry.actor == "citizen":
            return ""
        return names["client"] if entry.actor.startswith("client:") else say("operator", locale)

    def _desk(self, errand: Errand, locale: str) -> str:
        """Where and by whom a barcode was presented; else nothing."""
        actor = errand.entry.actor
        if not actor.startswith("desk:"):
            return ""
        return desk_name(actor, self._services.registry, locale, clerk=errand.clerk)

    def _when(self, errand: Errand, locale: str) -> str:
        at = errand.entry.at
        return say("taiwan", locale, when=moment(at, locale))

    def _not_me(self, errand: Errand, locale: str) -> str:
        services = self._services
        link = not_me.link(services.settings.issuer, services.secret, errand.entry.id, errand.channel)
        return f"{link}&lang={locale}"  # the page speaks the language in which it was read


def _sentence(text: str, names: dict[str, str]) -> str:
    return text.format(**names | {"client": own.name_within(text, "{client}", names["client"])})


def _demand_words(entry: AuditEntry) -> None:
    if entry.event not in CODES and told_of(entry) is None:
        raise LookupError(f"nobody is told of {entry.event}")


def _why(told: Told | None) -> str:
    """The phrase that says why somebody is told."""
    return "why_security" if told is not None and told.security else "why_use"
