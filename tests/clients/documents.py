"""A good registration of a bank, of the proxy and of an agency, to be changed by a test."""

from copy import deepcopy
from functools import cache
from typing import Any

from authz_server.core import jose


@cache
def _jwks(*algorithms: str) -> dict[str, Any]:
    return jose.public_jwks(jose.parse_private_keys({"keys": [jose.generate_key(alg) for alg in algorithms]}))


def jwks(*algorithms: str) -> dict[str, Any]:
    """A public JWKS with a key per algorithm; the same keys for the same algorithms."""
    return deepcopy(_jwks(*algorithms))


def bank(**changes: Any) -> dict[str, Any]:
    """A client of profile fapi2; `changes` replace members, None drops one."""
    document: dict[str, Any] = {
        "client_id": "jia-bank",
        "name": {"zh": "甲銀行", "en": "Jia Bank"},
        "registered_id": "00000000",
        "contact_phone": "02-0000-0000",
        "contact_email": "privacy@jia-bank.example",
        "privacy_url": "https://jia-bank.example/privacy",
        "redirect_uris": ["https://jia-bank.example/callback"],
        "jwks": jwks("ES256", "ECDH-ES"),
        "purposes": {"loan": purpose()},
    } | changes
    return {name: value for name, value in document.items() if value is not None}


def purpose(**changes: Any) -> dict[str, Any]:
    """A purpose with one slow, one optional and one plain dataset."""
    return {
        "text": {"zh": "審核您的信用貸款申請", "en": "To decide on your loan application"},
        "use_until_days": 30,
        "erase_by_days": 90,
        "passed_on_to": [{"zh": "測試聯徵中心", "en": "Sample Credit Bureau"}],
        "datasets": {
            "fia.income": income(),
            "nhi.premiums": {"fields_optional": ["name", "national_id", "arrears"]},
            "ris.personal": {"fields_required": ["name", "national_id", "birth_date"]},
        },
    } | changes


def income(**changes: Any) -> dict[str, Any]:
    """The ceiling of one dataset."""
    return {
        "fields_required": ["name", "national_id", "tax_year", "total_income"],
        "fields_optional": ["payers"],
        "parameters": {"tax_year": {"last": 3}},
    } | changes


def resource_server(**changes: Any) -> dict[str, Any]:
    """The proxy."""
    return {"client_id": "proxy", "profile": "resource_server", "jwks": jwks("ES256")} | changes


def agency(**changes: Any) -> dict[str, Any]:
    """An agency of the catalogue."""
    return {"id": "fia", "connector": "jose", "jwks": jwks("ES256", "ECDH-ES")} | changes
