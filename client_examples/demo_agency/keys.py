"""One agency's keys: made at the first start, kept in files that only their owner can read."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey


@dataclass(frozen=True)
class AgencyKeys:
    """`signing` signs manifests, `decryption` opens tickets: one key is never used for both."""

    signing: ECKey
    decryption: ECKey

    def public_jwks(self) -> dict[str, Any]:
        """The JWK set that the agency hands to the platform at registration."""
        return {"keys": [key.as_dict(private=False) for key in (self.signing, self.decryption)]}


def load_or_create(folder: Path) -> AgencyKeys:
    """Read the agency's keys from `folder`, or make them there. Source: RFC 7517, RFC 7638 (kid)."""
    path = folder / "private.jwks.json"
    if not path.exists():
        keys = [
            ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True),
            ECKey.generate_key("P-256", {"use": "enc", "alg": "ECDH-ES"}, auto_kid=True),
        ]
        write_secret(path, json.dumps({"keys": [key.as_dict(private=True) for key in keys]}))
    signing, decryption = (ECKey.import_key(key) for key in json.loads(path.read_text())["keys"])
    return AgencyKeys(signing, decryption)


def load_or_create_api_key(folder: Path) -> str:
    """The shared secret of an agency that speaks no JOSE; 256 bits, in `folder`/api-key."""
    path = folder / "api-key"
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(32))
    return path.read_text().strip()


def write_secret(path: Path, text: str) -> None:
    """Create the file with mode 0600 from its first moment; an existing file is never overwritten."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
