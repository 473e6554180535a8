"""The receipt of a consent: what was read and agreed to, in a form that programs can keep.

It is a copy of the consent record in the four sections of ISO/IEC TS 27560:2023, section 6.3 (header, PII processing,
party identification, event), with the receipt's metadata in front (section 6.4.5), and every member that the document
makes mandatory, under its name; None where this platform does not know (docs/receipts.md lists them, and what is
ours). No value of a citizen is in it, for none is in the consent.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.audit.models import AUDIT_ENTRY
from authz_server.catalogue.model import Catalogue
from authz_server.clients.model import Client
from authz_server.consent.models import CONSENT, Consent
from authz_server.consent.outcome import WITHDRAWN
from authz_server.consent.wording import say
from authz_server.core import jose
from authz_server.core.clock import day_of
from authz_server.core.identifiers import acr_of_level
from authz_server.database import unindexed

SCHEMA: Final = "mydata-receipt 2, after ISO/IEC TS 27560:2023"
JURISDICTION: Final = "TW"


def find_consents(session: Session, references: Sequence[str], *, citizen_id: int) -> Sequence[Consent]:
    """The citizen's own consents with these reference numbers, in the order of their decisions."""
    own = (Consent.transaction_id.in_(references), unindexed(CONSENT.c.citizen_id) == citizen_id)
    return session.scalars(select(Consent).where(*own).order_by(Consent.decided_at, Consent.id)).all()


def find_consent(session: Session, transaction_id: str, *, citizen_id: int) -> Consent | None:
    """The citizen's own consent with this reference number."""
    return session.scalars(
        select(Consent).where(Consent.transaction_id == transaction_id, Consent.citizen_id == citizen_id)
    ).one_or_none()


def ended_by(session: Session, consents: Iterable[Consent]) -> Mapping[str, str]:
    """Which actor of the record ended these, by reference number; without those that nobody ended."""
    ended = [consent.transaction_id for consent in consents if consent.withdrawn_at is not None]
    if not ended:
        return {}
    entry = AUDIT_ENTRY.c
    found = select(entry.transaction_id, entry.actor).where(entry.transaction_id.in_(ended), entry.event == WITHDRAWN)
    return {row.transaction_id: row.actor for row in session.execute(found)}


def receipt_of(
    consent: Consent,
    client: Client | None,
    catalogue: Catalogue,
    *,
    issuer: str,
    principal: str,
    actor: str | None,
    now: datetime,
) -> dict[str, Any]:
    """The consent as it was given, in JSON; names in the language in which it was given.

    Args: client: None if it is registered no longer; what was read of it is in the notice all the same.
        principal: the citizen as this client knows them, the pairwise subject; actor: who ended it, as of
        `ended_by`; now: when the receipt is made.
    """
    return {
        "iss": issuer,
        "iat": int(now.timestamp()),
        "schema_version": SCHEMA,
        "receipt_id": consent.transaction_id,
        "record_id": consent.id,
        "pii_principal_id": principal,
        "pii_processing": _processing(consent, catalogue, issuer),
        "party_identification": [
            _controller(consent, client),
            *_agencies(consent, catalogue),
            {"party_id": issuer, "party_name": None, "party_role": "PII processor", "party_type": "intermediary"}
            | _reached(url=issuer),
        ],
        "event": _events(consent, principal, _entity(actor, principal=principal, issuer=issuer)),
    }


def _processing(consent: Consent, catalogue: Catalogue, issuer: str) -> dict[str, Any]:
    """Section 6.3.4. There is one purpose at most, and it is for all datasets."""
    purpose = {
        "purpose": consent.notice["content"]["why"]["text"] if consent.notice["content"]["why"] else None,
        "purpose_id": consent.purpose_id,
        "lawful_basis": "consent",
        "pii_information": [item for granted in consent.granted for item in _attributes(consent, granted, catalogue)],
        "datasets": [_dataset(granted, catalogue, consent.notice_locale) for granted in consent.granted],
        "pii_controllers": [consent.client_id],
        "collection_method": "fetched once from the data source, through the intermediary, which keeps nothing",
        "storage_locations": [consent.client_id],
        "retention_period": {
            "use_until": consent.use_until.isoformat() if consent.use_until else None,
            "erase_by": consent.erase_by.isoformat() if consent.erase_by else None,
        },
        "jurisdiction": JURISDICTION,
        "recipient_third_parties": [consent.client_id, *_passed_on_to(consent)],
        "withdrawal_method": f"{issuer}/consent/{consent.transaction_id}/stop",
        "privacy_rights": [f"{issuer}/consents/{consent.transaction_id}"],
    }
    return {
        "privacy_notice": consent.notice | {"sha256": consent.notice_sha256},
        "language": consent.notice_locale,
        "scopes": consent.scopes,
        "purposes": [purpose],
    }


def _attributes(consent: Consent, granted: Mapping[str, Any], catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    """Section 6.3.5: each field of a granted dataset."""
    dataset, spoken = catalogue.find_dataset(granted["dataset"]), consent.notice_locale
    known = {field.id: field for field in dataset.fields} if dataset else {}
    choices = _choices(consent, dataset.name.get(spoken)) if dataset else {}
    for name in granted["fields"]:
        field = known.get(name)
        yield {
            "pii_type": field.name.get(spoken) if field else name,
            "pii_attribute_id": f"{granted['dataset']}/{name}",
            "pii_optional": choices.get(name),
            "sensitive_pii_category": field.sensitivity != "normal" if field else None,
            "special_pii_category": field.sensitivity == "special" if field else None,
        }


def _choices(consent: Consent, dataset_name: str) -> dict[str, bool]:
    """Which fields of a dataset could be left out, by what was read."""
    content = consent.notice["content"]
    items = [item for part in ("needed", "optional") for item in content[part]["datasets"]]
    own = [item for item in items if item["name"] == dataset_name]
    return {field["id"]: True for item in own for field in item["optional_fields"]} | {
        field["id"]: False for item in own for field in item["fields"]
    }


def _dataset(granted: Mapping[str, Any], catalogue: Catalogue, locale: str) -> dict[str, Any]:
    """Ours: what the fields belong to, and whom the data is encrypted to."""
    dataset = catalogue.find_dataset(granted["dataset"])
    return {
        "dataset": granted["dataset"],
        "name": dataset.name.get(locale) if dataset else granted["dataset"],
        "source": dataset.agency_id if dataset else None,
        "parameters": granted["parameters"],
        "recipient_key_thumbprint": jose.thumbprint(granted["recipient_jwk"]) if granted["recipient_jwk"] else None,
    }


def _passed_on_to(consent: Consent) -> list[str]:
    """To whom it goes on, by the names that were read."""
    route = consent.notice["content"]["route"]["lines"]
    return [name for name in route[-1][1] if name != say("route_nobody", consent.notice_locale)]


def _controller(consent: Consent, client: Client | None) -> dict[str, Any]:
    return {
        "party_id": consent.client_id,
        "party_name": consent.notice["content"]["who"]["name"],
        "party_role": "PII controller",
        "party_type": "recipient",
        "registered_id": client.registered_id if client else None,
        "names": client.name.to_json() if client else None,
    } | _reached(
        phone=client.contact_phone if client else None,
        email=client.contact_email if client else None,
        url=client.privacy_url if client else None,
    )


def _agencies(consent: Consent, catalogue: Catalogue) -> list[dict[str, Any]]:
    datasets = [catalogue.find_dataset(granted["dataset"]) for granted in consent.granted]
    return [
        {
            "party_id": agency.id,
            "party_name": agency.name.get(consent.notice_locale),
            "party_role": "PII controller",
            "party_type": "data source",
        }
        | _reached(phone=agency.phone, url=agency.url)
        for agency_id in dict.fromkeys(dataset.agency_id for dataset in datasets if dataset)
        for agency in (catalogue.agency(agency_id),)
    ]


def _reached(*, phone: str | None = None, email: str | None = None, url: str | None = None) -> dict[str, Any]:
    """Section 6.3.6: how a party is reached. No postal addresses are registered here."""
    return {
        "party_address": None,
        "party_contact": phone or email or url,
        "party_phone": phone,
        "party_email": email,
        "party_url": url,
    }


def _entity(actor: str | None, *, principal: str, issuer: str) -> str | None:
    """Who ended a consent, by the id that the receipt has for them; None if the record does not tell any more."""
    if actor is None:
        return None
    kind, _, client_id = actor.partition(":")
    return {"citizen": principal, "client": client_id}.get(kind, issuer)


def _events(consent: Consent, principal: str, ender: str | None) -> list[dict[str, Any]]:
    """Section 6.3.7: given, and if it was ended, withdrawn, by whoever did it."""
    decided_on = day_of(consent.decided_at)
    given = {
        "event_time": consent.decided_at.isoformat(timespec="seconds"),
        "validity_duration": f"P{(consent.use_until - decided_on).days}D" if consent.use_until else None,
        "entity_id": principal,
        "event_type": "explicit consent",
        "event_state": "given",
        "level": consent.level,
        "acr": acr_of_level(consent.level),
        "amr": consent.amr,
        "auth_time": consent.auth_time.isoformat(timespec="seconds"),
    }
    if consent.withdrawn_at is None:
        return [given]
    return [
        given,
        {
            "event_time": consent.withdrawn_at.isoformat(timespec="seconds"),
            "validity_duration": None,
            "entity_id": ender,
            "event_type": "explicit consent",
            "event_state": "withdrawn",
        },
    ]
