"""Our own private keys: read from their file, and replaced by new ones in it."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from authz_server.core.jose.errors import BadKey
from authz_server.core.jose.keys import MAX_KEYS, PRIVATE_MEMBERS, KeySet, parse_private_keys, parse_public_key

OWN_ALG: Final = "ES256"  # of whatever this platform signs, and of the key that is made for it


def load_keys(path: Path) -> KeySet:
    """Read private keys from a JWKS file, and the public ones of those that `rotated` has retired.

    Raises: BadKey if the file is readable by others than its owner, is not a JWKS, or has a key that we refuse.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise BadKey(f"{path} must be readable by its owner only (mode 0600)")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise BadKey(f"{path}: {error.strerror}") from None
    except ValueError:
        raise BadKey(f"{path} is not JSON") from None
    return KeySet([*parse_private_keys(document), *map(parse_public_key, _retired(document))])


def rotated(
    document: Mapping[str, Any], fresh: dict[str, Any], *, now: datetime, keep: timedelta, stolen: bool = False
) -> dict[str, Any]:
    """Return the JWKS of our keys with the fresh one in force for its `alg`.

    Of what it replaces only the public part stays, for `keep`: it verifies what was signed, and can sign no more. If it
    was stolen, nothing of it stays: what a thief signs must not verify, and can't be told from what we signed.
    Raises: BadKey if that makes more keys than a peer would take.
    """
    replaced = [member for member in document["keys"] if member.get("alg") == fresh["alg"]]
    kept = [member for member in document["keys"] if member not in replaced]
    moment = int(now.timestamp())
    retired = [member for member in _retired(document) if moment - member["retired_at"] <= keep.total_seconds()]
    if not stolen:
        public = [parse_public_key(_without_private(member)).public_jwk() for member in replaced]
        retired = [*(member | {"retired_at": moment} for member in public), *retired]
    if 1 + len(kept) + len(retired) > MAX_KEYS:
        raise BadKey(f"{MAX_KEYS} keys would be published, and the oldest is still needed for what it has signed")
    return {"keys": [fresh, *kept], "retired": retired}


def forgotten(document: Mapping[str, Any], kid: str) -> dict[str, Any]:
    """Return the JWKS of our keys without a retired one, which was stolen: nothing that it signed verifies any more.

    Raises: BadKey if no retired key has this `kid`.
    """
    retired = _retired(document)
    kept = [member for member in retired if parse_public_key(member).kid != kid]
    if len(kept) == len(retired):
        raise BadKey(f"neither the key in force nor a retired one has the kid {kid!r}")
    return {**document, "retired": kept}


def _retired(document: object) -> list[dict[str, Any]]:
    found = document.get("retired", []) if isinstance(document, dict) else []
    if not isinstance(found, list) or not all(isinstance(item, dict) and "retired_at" in item for item in found):
        raise BadKey("retired: a list of JWKs with retired_at")
    return found


def _without_private(member: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in member.items() if name not in PRIVATE_MEMBERS}
