"""The package: manifest signed by the agency, JSON for machines, PDF for people, encrypted to the recipient."""

import hashlib
import io
import json
import zipfile
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

from joserfc import jwe, jws
from joserfc.jwk import ECKey, RSAKey

from .ticket import Ticket


@dataclass(frozen=True)
class File:
    """One file of the package."""

    name: str
    media_type: str
    content: bytes


def build(agency_id: str, ticket: Ticket, files: list[File], *, signing_key: ECKey, now: int) -> str:
    """Return the package as a compact JWE that only the ticket's recipient can open.

    The manifest says for whom, of what and when the agency made these very bytes; whoever receives the package can
    prove it to others later. Nothing of it is compressed: the sizes of compressed data tell of their content.
    Sources: RFC 7515, RFC 7516, RFC 7518 section 4.6 (ECDH-ES).
    """
    manifest = {
        "iss": agency_id,
        "aud": ticket.client_id,
        "iat": now,
        "txn": ticket.transaction,
        "dataset": ticket.dataset,
        "fields": list(ticket.fields),
        "parameters": ticket.parameters,
        "files": [describe(file) for file in files],
    }
    header = {"alg": "ES256", "typ": "mydata-manifest+jwt", "kid": signing_key.kid}
    signed = jws.serialize_compact(header, json.dumps(manifest, ensure_ascii=False), signing_key, algorithms=["ES256"])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as package:
        package.writestr("manifest.jws", signed)
        for file in files:
            package.writestr(file.name, file.content)
    return encrypt(archive.getvalue(), ticket.recipient)


def describe(file: File) -> dict[str, Any]:
    """The manifest's line for one file."""
    digest = urlsafe_b64encode(hashlib.sha256(file.content).digest()).rstrip(b"=").decode()
    return {"name": file.name, "media_type": file.media_type, "size_bytes": len(file.content), "sha256": digest}


def encrypt(archive: bytes, recipient: ECKey | RSAKey) -> str:
    """Encrypt to the recipient's key. Some 0.1 s for 20 MB, all of it in memory: fine for an agency's scan."""
    # The key's own `alg` first: many a library opens nothing else with it (RFC 7517 section 4.4).
    algorithm = recipient.alg or ("ECDH-ES" if isinstance(recipient, ECKey) else "RSA-OAEP-256")
    kid = recipient.kid or recipient.thumbprint()
    header = {"alg": algorithm, "enc": "A256GCM", "cty": "application/zip", "kid": kid}
    return jwe.encrypt_compact(header, archive, recipient, algorithms=[algorithm, "A256GCM"])
