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


def open_package(jose: bytes, key: ECKey, agency: Any, dataset: Any, grant: dict[str, Any], recipient: str) -> Package:
    """Decrypt and check. `agency`, `dataset`: from GET /catalogue. Raises: BadPackage, also of another grant."""
    try:
        whole = jwe.decrypt_compact(jose, key, registry=LIMITS).plaintext or b""
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise BadPackage("larger than agreed")
            files = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        signed = jws.deserialize_compact(files.pop("manifest.jws"), KeySet.import_key_set(agency["jwks"]), ["ES256"])
        manifest, data = json.loads(signed.payload), json.loads(files["data.json"])
        made_for = {"iss": agency["id"], "aud": recipient, "txn": grant["transaction"]}  # or somebody else's
        made_for |= {name: grant[name] for name in ("dataset", "fields", "parameters")}
        if signed.headers().get("typ") != "mydata-manifest+jwt" or made_for != {it: manifest[it] for it in made_for}:
            raise BadPackage("made for another request")
        if {file["name"]: file["sha256"] for file in manifest["files"]} != {name: s256(files[name]) for name in files}:
            raise BadPackage("not the files that the agency signed")
        Draft202012Validator(dataset["schema"]).validate(data)
        if not set(data) <= set(grant["fields"]):
            raise BadPackage("more than was granted")
    except (JoseError, ValidationError, zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
        raise BadPackage(type(error).__name__) from error
    return Package(manifest, data, files, whole)


def s256(content: bytes) -> str:
    """SHA-256 in base64url: for the manifest's files, for PKCE, for DPoP."""
    return urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
