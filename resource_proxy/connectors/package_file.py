"""The package of a connector: a stored ZIP of the files and a manifest that vouches for them."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

from authz_server.core import clock, jose
from authz_server.core.jose.encoding import sha256_of
from authz_server.core.packages import MANIFEST_NAME, MANIFEST_TYPE

MEDIA_TYPES = {".json": "application/json", ".pdf": "application/pdf"}


def build(files: Mapping[str, bytes], manifest: Mapping[str, Any], key: jose.Key) -> bytes:
    """Return a ZIP (stored, not compressed) of the signed manifest and the files, the manifest first."""
    now = clock.now()
    claims = {**manifest, "iat": int(now.timestamp()), "files": [_entry(name, data) for name, data in files.items()]}
    signed = jose.sign(claims, key, typ=MANIFEST_TYPE).encode("ascii")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {MANIFEST_NAME: signed, **files}.items():
            archive.writestr(zipfile.ZipInfo(name, now.timetuple()[:6]), data)
    return buffer.getvalue()


def _entry(name: str, data: bytes) -> dict[str, Any]:
    suffix = name[name.rindex(".") :]
    return {"name": name, "media_type": MEDIA_TYPES[suffix], "size_bytes": len(data), "sha256": sha256_of(data)}
