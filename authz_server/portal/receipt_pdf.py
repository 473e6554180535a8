"""The receipt for people: what was decided, what may be fetched, and every sentence that was read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from flask_babel import gettext, lazy_gettext
from flask_babel.speaklater import LazyString

from authz_server.catalogue.model import Catalogue
from authz_server.clients.model import Client
from authz_server.consent.models import Consent
from authz_server.consent.wording import day, listed, moment
from authz_server.portal import pdf
from authz_server.portal.locale import HTML_LANG

# RFC 8176 section 2.
PROOFS: Final[Mapping[str, LazyString]] = {
    "face": lazy_gettext("face recognition"),
    "fpt": lazy_gettext("fingerprint"),
    "hwk": lazy_gettext("a key in a device of yours"),
    "kba": lazy_gettext("answers that only you should know"),
    "otp": lazy_gettext("one-time code"),
    "pin": lazy_gettext("PIN"),
    "pop": lazy_gettext("a key that only you have"),
    "pwd": lazy_gettext("password"),
    "sc": lazy_gettext("chip card"),
    "sms": lazy_gettext("code by text message"),
    "swk": lazy_gettext("a key in software of yours"),
    "user": lazy_gettext("unlocking your device"),
}

Sentences = dict[str, Any]  # a part of consent.notice.Notice.content


def receipt_pdf(consent: Consent, client: Client | None, catalogue: Catalogue, *, issuer: str) -> bytes:
    """The receipt as PDF; the caller has set the language to that of the consent.

    Args: client: None if it is registered no longer.
    """
    return pdf.render(
        gettext("Consent receipt"),
        gettext("What you read and what you agreed to, word for word."),
        parts_of(consent, client, catalogue, issuer=issuer),
        foot=f"{issuer} – {consent.transaction_id}",
        lang=HTML_LANG[consent.notice_locale],
    )


def parts_of(consent: Consent, client: Client | None, catalogue: Catalogue, *, issuer: str) -> list[pdf.Part]:
    """The receipt in words: the summary first, then the notice in the order of the page."""
    return [
        _summary(consent, client),
        *_granted(consent, catalogue),
        *_notice(consent.notice["content"], consent.notice_locale),
        _proof(consent, issuer),
    ]


def _summary(consent: Consent, client: Client | None) -> pdf.Part:
    content, spoken = consent.notice["content"], consent.notice_locale
    facts = [
        (gettext("Reference number"), consent.transaction_id),
        (gettext("Decided on"), moment(consent.decided_at, spoken)),
        (content["who"]["heading"], content["who"]["name"]),
        *((name, value) for name, value in content["who"]["facts"]),
    ]
    if client is not None and client.contact_email:
        facts.append((gettext("E-mail"), client.contact_email))
    if content["why"]:
        facts.append((content["why"]["heading"], content["why"]["text"]))
    if consent.use_until and consent.erase_by:
        facts.append((gettext("May be used until"), day(consent.use_until, spoken)))
        facts.append((gettext("Must be erased by"), day(consent.erase_by, spoken)))
    return pdf.Part(heading=gettext("Your decision"), facts=facts)


def _granted(consent: Consent, catalogue: Catalogue) -> Iterator[pdf.Part]:
    """What may be fetched: the parameters and exactly the fields that were granted, dataset by dataset."""
    spoken = consent.notice_locale
    facts = []
    for granted in consent.granted:
        dataset = catalogue.find_dataset(granted["dataset"])
        if dataset is None:  # the catalogue has it no longer
            facts.append((granted["dataset"], listed(granted["fields"], spoken)))
            continue
        names = {field.id: field.name.get(spoken) for field in dataset.fields}
        values = [
            parameter.display(granted["parameters"][parameter.id], spoken)
            for parameter in dataset.parameters
            if parameter.id in granted["parameters"]
        ]
        fields = listed([names.get(field, field) for field in granted["fields"]], spoken)
        facts.append((" ".join([dataset.name.get(spoken), *values]), fields))
    if facts:
        yield pdf.Part(heading=gettext("What may be fetched, once"), facts=facts)


def _notice(content: Sentences, spoken: str) -> Iterator[pdf.Part]:
    """Every sentence of the notice, in the order in which it was read."""
    colon = ": " if spoken == "en" else "："
    privacy = content["who"]["privacy"]
    more = [privacy["text"] + colon + privacy["url"]] if privacy else []
    yield pdf.Part(heading=content["title"], sentences=[content["lead"], *more])
    if content["changes"]:
        yield pdf.Part(
            heading=content["changes"]["heading"], sentences=[content["changes"]["intro"], *content["changes"]["lines"]]
        )
    needed, optional = content["needed"], content["optional"]
    if needed["datasets"]:
        lines = [line for item in needed["datasets"] for line in (*_terms(item), *_fields(item["fields"], colon))]
        yield pdf.Part(heading=needed["heading"], sentences=lines)
    if optional["datasets"]:
        lines = [line for item in optional["datasets"] for line in _optional(item, colon)]
        yield pdf.Part(heading=optional["heading"], sentences=[optional["hint"], *lines])
    if content["identity"]:
        yield pdf.Part(heading=content["identity"]["heading"], sentences=content["identity"]["lines"])
    if content["why"]:
        lines = [name + colon + listed(to, spoken) for name, to in content["route"]["lines"]]
        yield pdf.Part(heading=content["route"]["heading"], sentences=lines)
    for part in (content["times"], content.get("desk"), content["never"]):
        if part:
            yield pdf.Part(heading=part["heading"], sentences=part["lines"])
    buttons = listed([content["approve"], content["deny"]], spoken)
    yield pdf.Part(heading=content["stop"]["heading"], sentences=[content["stop"]["text"], content["leaving"], buttons])


def _terms(item: Sentences) -> Iterator[str]:
    """What the page says of a dataset above its fields."""
    terms = [item["name"], *([item["new"]] if item["new"] else []), item["agency"]]
    yield " – ".join([*terms, *(f"{name} {value}" for name, value in item["parameters"])])
    yield item["description"]
    # A notice that was read before there were justifications says nothing of any.
    yield from (item[name] for name in ("why", "always", "unavailable", "wait") if item.get(name))


def _optional(item: Sentences, colon: str) -> Iterator[str]:
    if item["fields"]:
        yield item["more_of"]
    else:
        yield from _terms(item)
    yield from _fields(item["optional_fields"], colon)


def _fields(fields: list[Sentences], colon: str) -> Iterator[str]:
    for field in fields:
        mark = f" – {field['sensitivity']}" if field["sensitivity"] else ""
        yield f"{pdf.POINT}  {field['name']}{mark}{colon}{field['description']}"


def _proofs(amr: Sequence[str]) -> list[str]:
    """How the citizen proved who they are, in words; a value that has none stands for itself."""
    return [str(PROOFS.get(value, value)) for value in amr if value != "mfa"]  # several are listed, so that is said


def _proof(consent: Consent, issuer: str) -> pdf.Part:
    return pdf.Part(
        heading=gettext("How this was recorded"),
        facts=[
            (gettext("Issued by"), issuer),
            (gettext("Identity level"), gettext("%(level)s (1 is the highest)", level=consent.level)),
            (gettext("Identity proved by"), listed(_proofs(consent.amr), consent.notice_locale)),
            (gettext("Version of the text"), f"{consent.notice_version}, {consent.notice_locale}"),
            ("SHA-256", consent.notice_sha256),
        ],
        sentences=[
            gettext(
                "This file ends with this platform's signature, as does the receipt as JSON: anybody can check at "
                "%(address)s that nothing in it was changed. On paper it has none.",
                address=f"{issuer}/verify",
            )
        ],
    )
