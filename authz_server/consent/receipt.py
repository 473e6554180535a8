"""The receipt of a consent: what was read and agreed to, in a form that programs can keep.

Members have the names of ISO/IEC TS 27560:2023 (record, PII processing, parties, events) where it has one for the
thing; the rest is ours. No value of a citizen is in it, for none is in the consent.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.catalogue.model import Catalogue
from authz_server.clients.model import Client
from authz_server.consent.models import Consent
from authz_server.core import jose
from authz_server.core.identifiers import acr_of_level

SCHEMA: Final = "mydata-receipt 1, after ISO/IEC TS 27560:2023"
TYP: Final = "mydata-receipt+jwt"


def find_consent(session: Session, transaction_id: str, *, citizen_id: int) -> Consent | None:
    """The citizen's own consent with this reference number."""
    return session.scalars(
        select(Consent).where(Consent.transaction_id == transaction_id, Consent.citizen_id == citizen_id)
    ).one_or_none()


def receipt_of(
    consent: Consent, client: Client | None, catalogue: Catalogue, *, issuer: str, principal: str
) -> dict[str, Any]:
    """The consent as it was given, in JSON; names in the language in which it was given.

    Args: client: None if it is registered no longer; what was read of it is in the notice all the same.
        principal: the citizen as this client knows them, the pairwise subject.
    """
    locale = consent.notice_locale
    content = consent.notice["content"]
    return {
        "schema_version": SCHEMA,
        "iss": issuer,
        "receipt_id": consent.transaction_id,
        "record_id": consent.id,
        "pii_principal_id": principal,
        "language": locale,
        "privacy_notice": consent.notice | {"sha256": consent.notice_sha256},
        "scopes": consent.scopes,
        "purpose": {"id": consent.purpose_id, "text": content["why"]["text"]} if content["why"] else None,
        "lawful_basis": "consent",
        "pii_processing": [_processing(granted, catalogue, locale) for granted in consent.granted],
        "retention_period": {
            "use_until": consent.use_until.isoformat() if consent.use_until else None,
            "erase_by": consent.erase_by.isoformat() if consent.erase_by else None,
        },
        "withdrawal_method": f"{issuer}/consent/{consent.transaction_id}/stop",
        "party_identification": [
            _recipient(consent, client),
            *_agencies(consent, catalogue, locale),
            {"party_id": issuer, "party_role": "intermediary", "party_url": issuer},
        ],
        "event": [
            {
                "event_type": "consent",
                "event_state": "given",
                "event_time": consent.decided_at.isoformat(timespec="seconds"),
                "entity_id": principal,
                "level": consent.level,
                "acr": acr_of_level(consent.level),
                "amr": consent.amr,
                "auth_time": consent.auth_time.isoformat(timespec="seconds"),
            }
        ],
    }


def _processing(granted: Mapping[str, Any], catalogue: Catalogue, locale: str) -> dict[str, Any]:
    dataset = catalogue.find_dataset(granted["dataset"])
    fields = {field.id: field for field in dataset.fields} if dataset else {}
    return {
        "dataset": granted["dataset"],
        "name": dataset.name.get(locale) if dataset else granted["dataset"],
        "party_id": dataset.agency_id if dataset else None,
        "parameters": granted["parameters"],
        "pii_information": [
            {
                "pii_attribute_id": name,
                "pii_type": fields[name].name.get(locale) if name in fields else name,
                "sensitivity": fields[name].sensitivity if name in fields else None,
            }
            for name in granted["fields"]
        ],
        "collection_method": "fetched once, through the intermediary, which keeps nothing",
        "recipient_key_thumbprint": jose.thumbprint(granted["recipient_jwk"]),
    }


def _recipient(consent: Consent, client: Client | None) -> dict[str, Any]:
    return {
        "party_id": consent.client_id,
        "party_role": "recipient",
        "party_name": consent.notice["content"]["who"]["name"],
        "names": client.name.to_json() if client else None,
        "registered_id": client.registered_id if client else None,
        "party_phone": client.contact_phone if client else None,
        "party_email": client.contact_email if client else None,
        "party_url": client.privacy_url if client else None,
    }


def _agencies(consent: Consent, catalogue: Catalogue, locale: str) -> list[dict[str, Any]]:
    datasets = [catalogue.find_dataset(granted["dataset"]) for granted in consent.granted]
    return [
        {
            "party_id": agency.id,
            "party_role": "source",
            "party_name": agency.name.get(locale),
            "party_phone": agency.phone,
            "party_url": agency.url,
        }
        for agency_id in dict.fromkeys(dataset.agency_id for dataset in datasets if dataset)
        for agency in (catalogue.agency(agency_id),)
    ]
