"""A key is rotated: what it signed verifies for as long as it has to, and it signs no more."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from authz_server.core import jose
from authz_server.core.jose import BadKey

NOW = datetime(2026, 11, 23, tzinfo=UTC)
KEEP = timedelta(days=730)


def first() -> dict[str, Any]:
    return {"keys": [jose.generate_key("ES256")]}


def rotated(document: dict[str, Any], at: datetime = NOW) -> dict[str, Any]:
    return jose.rotated(document, jose.generate_key("ES256"), now=at, keep=KEEP)


def loaded(folder: Path, document: dict[str, Any]) -> jose.KeySet:
    path = folder / "keys.json"
    path.write_bytes(orjson.dumps(document))
    path.chmod(0o600)
    return jose.load_keys(path)


def published(keys: jose.KeySet) -> jose.KeySet:
    return jose.parse_public_keys(orjson.loads(orjson.dumps(jose.public_jwks(keys))))


def test_what_was_signed_before_any_number_of_rotations_verifies(tmp_path: Path) -> None:
    document, tokens = first(), []
    for month in range(12):
        keys = loaded(tmp_path, document)
        tokens.append(jose.sign({"month": month}, keys.get("ES256")))
        for token in tokens:
            jose.verify(token, published(keys), algorithms=("ES256",))
        document = rotated(document, NOW + month * timedelta(days=30))


def test_a_retired_key_is_public_only_and_signs_no_more(tmp_path: Path) -> None:
    old = first()
    document = rotated(old)
    assert old["keys"][0]["d"] not in orjson.dumps(document).decode()
    keys = loaded(tmp_path, document)
    assert [key.is_private for key in keys] == [True, False]
    assert keys.get("ES256").kid == document["keys"][0]["kid"] != old["keys"][0]["kid"]
    assert all(
        set(member) <= {"kid", "use", "alg", "kty", "crv", "x", "y"} for member in jose.public_jwks(keys)["keys"]
    )


def test_of_a_stolen_key_nothing_stays_that_a_thief_could_use(tmp_path: Path) -> None:
    older = rotated(first())
    document = jose.rotated(older, jose.generate_key("ES256"), now=NOW, keep=KEEP, stolen=True)
    stolen = older["keys"][0]
    assert stolen["kid"] not in orjson.dumps(document).decode()
    assert document["retired"] == older["retired"], "what was signed before it still verifies"
    forged = jose.sign({"sub": "anybody"}, jose.parse_private_keys({"keys": [stolen]}).get("ES256"))
    with pytest.raises(jose.KeyNotFound):
        jose.verify(forged, published(loaded(tmp_path, document)), algorithms=("ES256",))


def test_it_goes_when_nothing_that_it_signed_is_kept_any_more() -> None:
    document = rotated(first())
    still, over = rotated(document, NOW + KEEP), rotated(document, NOW + KEEP + timedelta(seconds=1))
    gone = document["retired"][0]["kid"]
    assert gone in {member["kid"] for member in still["retired"]}
    assert gone not in {member["kid"] for member in over["retired"]}


def test_keys_of_other_algorithms_stay_as_they_are() -> None:
    rsa = jose.generate_key("PS256")
    document = rotated({"keys": [*first()["keys"], rsa]})
    assert document["keys"][1] == rsa
    assert len(document["retired"]) == 1


def test_a_file_of_the_release_before_with_two_private_keys_is_taken() -> None:
    document = rotated({"keys": [*first()["keys"], *first()["keys"]]})
    assert (len(document["keys"]), len(document["retired"])) == (1, 2)


def test_no_more_keys_are_published_than_a_peer_takes() -> None:
    document = first()
    for _ in range(31):
        document = rotated(document)
    with pytest.raises(BadKey, match="32 keys"):
        rotated(document)


NEVER_RETIRED = jose.public_jwks(jose.parse_private_keys(first()))["keys"]  # when it was, is not said


@pytest.mark.parametrize(
    "retired", ["x", 1, None, {}, {"x": 1}, [1], [{}], [{"kid": "x"}], NEVER_RETIRED], ids=[str(n) for n in range(9)]
)
def test_a_list_of_retired_keys_that_is_none_is_refused(tmp_path: Path, retired: object) -> None:
    with pytest.raises(BadKey):
        loaded(tmp_path, first() | {"retired": retired})
