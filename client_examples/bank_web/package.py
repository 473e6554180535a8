"""Opening what an agency sent. Nothing of a package is used before all of it has been checked."""

import hashlib
import io
import json
import zipfile
from base64 import urlsafe_b64encode
from typing import Any, NamedTuple

from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from jsonschema import Draft202012Validator, ValidationError

MAX_BYTES = 64 * 1024 * 1024  # an ID card scan has some 20 MB; the library's own limit is 64 KiB
LIMITS = jwe.JWERegistry(algorithms=["ECDH-ES", "A256GCM"])
LIMITS.max_ciphertext_length = 2 * MAX_BYTES


class BadPackage(Exception):
    """The package is not what the agency made for this request."""


class Package(NamedTuple):
    manifest: dict[str, Any]
    data: dict[str, Any]
    files: dict[str, bytes]
    whole: bytes  # the ZIP as the agency made it, which `mydata verify` takes


def open_package(jose: bytes, key: ECKey, agency: Any, dataset: Any, granted: dict[str, Any]) -> Package:
    """Decrypt and check. `agency`, `dataset`: from GET /catalogue; `granted`: what it was made for, or BadPackage."""
    try:
        whole = jwe.decrypt_compact(jose, key, registry=LIMITS).plaintext or b""
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise BadPackage("larger than agreed")
            files = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        signed = jws.deserialize_compact(files.pop("manifest.jws"), KeySet.import_key_set(agency["jwks"]), ["ES256"])
        manifest, data = json.loads(signed.payload), json.loads(files["data.json"])
        said = {"typ": signed.headers().get("typ")} | {name: manifest[name] for name in ["iss", *granted]}
        if said != {"typ": "mydata-manifest+jwt", "iss": agency["id"], **granted}:
            raise BadPackage("made for another request")
        if {file["name"]: file["sha256"] for file in manifest["files"]} != {name: s256(files[name]) for name in files}:
            raise BadPackage("not the files that the agency signed")
        Draft202012Validator(dataset["schema"]).validate(data)
        if not set(data) <= set(granted["fields"]):
            raise BadPackage("more than was granted")
    except (JoseError, ValidationError, zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
        raise BadPackage(type(error).__name__) from error
    return Package(manifest, data, files, whole)


def s256(content: bytes) -> str:
    """SHA-256 in base64url: for the manifest's files, for PKCE, for DPoP."""
    return urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
