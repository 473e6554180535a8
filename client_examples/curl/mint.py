"""What curl can't do by itself: sign, make a PKCE pair, open a package.

    python -m client_examples.curl.mint pkce                                verifier and challenge
    python -m client_examples.curl.mint assertion KEYS CLIENT_ID ISSUER     the client assertion for one request
    python -m client_examples.curl.mint proof KEY METHOD URL [TOKEN]        the DPoP proof for one request
    python -m client_examples.curl.mint open KEYS CLIENT_ID ISSUER GRANT PACKAGE    the data of a checked package

KEYS is keys.json of `python -m client_examples.bank_web --init`; KEY is made if it is not there; GRANT is the entry of
`authorization_details` in the token response, as JSON.
"""

import json
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import requests
from joserfc.jwk import ECKey

from client_examples.bank_web.client import client_assertion, dpop_proof
from client_examples.bank_web.package import open_package, s256


def pkce() -> str:
    verifier = secrets.token_urlsafe(32)
    return f"{verifier} {s256(verifier.encode())}"


def assertion(keys: str, client_id: str, issuer: str) -> str:
    return client_assertion(client_id, issuer, key_of(keys, 0))["client_assertion"]


def proof(path: str, method: str, url: str, access_token: str = "") -> str:
    if not Path(path).exists():
        Path(path).touch(0o600)
        Path(path).write_text(json.dumps([ECKey.generate_key("P-256").as_dict(private=True)]))
    return dpop_proof(key_of(path, 0), method, url, access_token=access_token)


def open_(keys: str, client_id: str, issuer: str, grant: str, package: str) -> str:
    granted = json.loads(Path(grant).read_text())
    agencies = requests.get(f"{issuer}/catalogue", timeout=10).json()["agencies"]
    offers = {dataset["id"]: (agency, dataset) for agency in agencies for dataset in agency["datasets"]}
    made_for = *offers[granted["dataset"]], granted, client_id
    opened = open_package(Path(package).read_bytes(), key_of(keys, 1), *made_for)
    return json.dumps(opened.data, ensure_ascii=False, indent=2)


def key_of(path: str, index: int) -> ECKey:
    return ECKey.import_key(json.loads(Path(path).read_text())[index])


if __name__ == "__main__":
    commands: dict[str, Callable[..., str]] = {"pkce": pkce, "assertion": assertion, "proof": proof, "open": open_}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    print(commands[sys.argv[1]](*sys.argv[2:]))
