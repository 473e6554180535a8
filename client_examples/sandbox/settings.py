"""Keys and settings files of a sandbox, as an operator would write them by hand."""

import json
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from client_examples.demo_ca.certificates import POLICY

AGENCIES = ("ris", "bli", "land", "fia", "nhi")
PLAIN_AGENCY = "nhi"
PROXY_CLIENT_ID = "resource-proxy"
REGISTRY_ID = "registry"

# A private key set with one key per use. Source: RFC 7517; `kid` is the thumbprint of RFC 7638.
_KEY_KINDS = {"sig": "ES256", "enc": "ECDH-ES"}


def server_settings(issuer: str, proxy_url: str, *, bind: str, database_url: str) -> dict[str, Any]:
    """Settings of the authorization server; its keys lie beside the file."""
    return {
        "issuer": issuer,
        "database_url": database_url,
        "keys_file": "keys.json",
        "secret_file": "secret",
        "proxy_url": proxy_url,
        "bind": bind,
        "sandbox": True,
        "method_levels": {
            "password_totp": 3,
            "passkey": 2,
            "certificate": 1,
            "health_card": 3,
            "two_documents": 4,
            "email_code": 5,
        },
        "limits": {"client_requests_s": 86_400},  # a sandbox is for developers
    }


def certificate_settings(folder: Path) -> dict[str, Any]:
    """Whose citizen certificates count: those of the authority that keeps this folder."""
    return {
        "certificate": {
            "anchors_file": str(folder / "root.pem"),
            "intermediates_file": str(folder / "issuing.pem"),
            "policies": [POLICY.dotted_string],
        },
    }


def message_settings(smtp: str, gateway_url: str, token_file: Path) -> dict[str, Any]:
    """How the server reaches citizens: `smtp` takes e-mail, `gateway_url` text messages."""
    host, _, port = smtp.rpartition(":")
    sender = "MyData <notices@mydata.example>"
    return {
        "mail": {"host": host, "port": int(port), "tls": "none", "sender": sender},
        "sms": {"url": f"{gateway_url}/messages", "token_file": str(token_file)},
    }


def registry_settings(url: str, folder: Path) -> dict[str, Any]:
    """Whom the server asks about people's cards and documents; `folder` is the registry's own."""
    registry = {"id": REGISTRY_ID, "url": url, "jwks_file": str(folder / "registry.jwks.json")}
    return dict.fromkeys(("health_card", "two_documents"), registry)


def proxy_settings(issuer: str, proxy_url: str, *, agency_url: str, api_key_file: Path) -> dict[str, Any]:
    """Settings of the resource proxy; its keys lie beside the file, and those of the agency that has none itself."""
    agencies = {name: {"url": f"{agency_url}/{name}", "connector": "jose"} for name in AGENCIES}
    agencies[PLAIN_AGENCY] |= {
        "connector": "plain",
        "api_key_file": str(api_key_file),
        "keys_file": f"{PLAIN_AGENCY}.keys.json",
    }
    return {
        "url": proxy_url,
        "issuer": issuer,
        "client_id": PROXY_CLIENT_ID,
        "keys_file": "keys.json",
        "bind": proxy_url.removeprefix("http://"),
        "sandbox": True,
        "agencies": agencies,
    }


def write_registrations(work: Path, checker: Mapping[str, Any]) -> None:
    """Make the proxy's keys, and register those who can't do it themselves. Args: checker: its document."""
    # An agency without JOSE has no keys: the proxy's connector holds them, and signs in its name.
    public = write_keys(work / "proxy" / f"{PLAIN_AGENCY}.keys.json", "sig", "enc")
    plain = {"id": PLAIN_AGENCY, "connector": "plain", "jwks": public}
    write_toml(work / "agency" / PLAIN_AGENCY / "agency.toml", plain)
    public = write_keys(work / "proxy" / "keys.json", "sig")
    proxy = {"client_id": PROXY_CLIENT_ID, "profile": "resource_server", "jwks": public}
    write_toml(work / "proxy" / "client.toml", proxy)
    write_toml(work / "checker" / "client.toml", checker)


def new_key(use: str) -> ECKey:
    """A new P-256 key for one use, `sig` or `enc`."""
    return ECKey.generate_key("P-256", {"use": use, "alg": _KEY_KINDS[use]}, auto_kid=True)


def write_keys(path: Path, *uses: str) -> dict[str, Any]:
    """Make a new P-256 key for each use (`sig`, `enc`), write the private JWKS (mode 0600), return the public one."""
    keys = [new_key(use) for use in uses]
    write_private(path, json.dumps({"keys": [key.as_dict(private=True) for key in keys]}).encode())
    return {"keys": [key.as_dict(private=False) for key in keys]}


def write_secret(path: Path) -> None:
    """32 random bytes that only their owner can read."""
    write_private(path, secrets.token_bytes(32))


def write_private(path: Path, content: bytes) -> None:
    """Create a file with mode 0600 from its first moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def write_toml(path: Path, document: Mapping[str, Any]) -> Path:
    """Write a TOML file: plain values first, then a table for each mapping."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(_lines(document, "")) + "\n", encoding="utf-8")
    return path


def _lines(table: Mapping[str, Any], name: str) -> list[str]:
    lines = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if not isinstance(value, Mapping)]
    for key, value in table.items():
        if isinstance(value, Mapping):
            inner = f"{name}.{_key(key)}" if name else _key(key)
            lines += ["", f"[{inner}]", *_lines(value, inner)]
    return lines


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, Path):
        value = str(value)
    return json.dumps(value, ensure_ascii=False)  # a JSON string, number or boolean is a TOML one as well


def _key(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else json.dumps(key, ensure_ascii=False)
