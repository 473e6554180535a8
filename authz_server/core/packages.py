"""Packages as citizens save them: a ZIP with a manifest that an agency signed, and the files that it vouches for.

Whoever has one verifies it with the published keys of the agencies alone: which agency signed it, what, for whom, and
when. One changed bit in a file or in the manifest and it fails. What a ZIP says besides (times, order, comments,
compression) is nobody's statement, and no file may be in it that the manifest does not name.
"""

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from authz_server.core import jose
from authz_server.core.documents import MAX_BYTES, NotGenuine
from authz_server.core.jose import BadToken, KeyNotFound, KeySet
from authz_server.core.jose.encoding import sha256_of

MAGIC: Final = b"PK\x03\x04"
MANIFEST_NAME: Final = "manifest.jws"
MANIFEST_TYPE: Final = "mydata-manifest+jwt"
MAX_MANIFEST_BYTES: Final = 64 * 1024
MOST_FILES: Final = 100


@dataclass(frozen=True, kw_only=True)
class Package:
    """What was verified: who signed it, by which key, when, and the manifest."""

    agency_id: str
    kid: str
    signed_at: datetime
    manifest: Mapping[str, Any]


def is_package(octets: bytes) -> bool:
    """Whether a file is meant to be one."""
    return octets.startswith(MAGIC)


def agencies_of(catalogue: Any) -> dict[str, KeySet]:
    """The keys in what a platform publishes as its catalogue, by agency.  Raises: BadKey, ValueError."""
    try:
        listed = [(agency["id"], agency["jwks"]) for agency in catalogue["agencies"]]
    except (KeyError, TypeError):
        listed = [(None, None)]
    if not all(isinstance(agency_id, str) for agency_id, _ in listed):
        raise ValueError("not a catalogue")
    return {agency_id: jose.parse_public_keys(jwks) for agency_id, jwks in listed if jwks != {"keys": []}}


def verify(octets: bytes, agencies: Mapping[str, KeySet]) -> Package:
    """Verify a package with the published keys of the agencies.  Raises: NotGenuine."""
    files = _files(octets)
    try:
        token = files.pop(MANIFEST_NAME).decode("ascii")
        unverified = jose.unverified(token, max_bytes=MAX_MANIFEST_BYTES)
        agency_id = unverified.claims.get("iss")
    except (KeyError, UnicodeDecodeError, BadToken):
        raise NotGenuine("form", "without a manifest") from None
    keys = agencies.get(agency_id) if isinstance(agency_id, str) else None
    if keys is None:
        raise NotGenuine("key", "no agency of this platform")
    try:
        found = unverified.verify(keys, algorithms=jose.SIGNING, typ=MANIFEST_TYPE)
    except KeyNotFound as error:
        raise NotGenuine("key", error.detail) from None
    except BadToken as error:
        raise NotGenuine("signature", error.detail) from None
    manifest = found.claims
    try:
        promised = {file["name"]: file["sha256"] for file in manifest["files"]}
        signed_at = datetime.fromtimestamp(manifest["iat"], UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise NotGenuine("form", "a manifest without files or time") from None
    if promised != {name: sha256_of(content) for name, content in files.items()}:
        raise NotGenuine("text", "the files are not those that were signed")
    return Package(agency_id=str(agency_id), kid=found.key.kid, signed_at=signed_at, manifest=manifest)


def _files(octets: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(octets)) as archive:
            entries = archive.infolist()
            names = {entry.filename for entry in entries}
            size_bytes = sum(entry.file_size for entry in entries)
            if len(names) != len(entries) or len(entries) > MOST_FILES or size_bytes > MAX_BYTES:
                raise NotGenuine("form", "a name twice, or too much")
            if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
                raise NotGenuine("form", "packed in a way that browsers do not read")
            return {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError, OSError):
        raise NotGenuine("text", "the ZIP is damaged") from None
