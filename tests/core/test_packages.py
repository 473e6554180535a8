"""Packages that citizens saved: genuine as an agency signed them, and not with one bit changed."""

import io
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from authz_server.cli import cli
from authz_server.core import jose, packages
from authz_server.core.documents import NotGenuine
from authz_server.core.jose import KeySet
from resource_proxy.connectors import package_file
from tests.support.platform import new_key, public

KEY = new_key()
AGENCIES = {"ris": KeySet([KEY]), "bli": KeySet([new_key()])}
MANIFEST = {
    "iss": "ris",
    "aud": "mydata-download",
    "txn": "T0000-0000-0000",
    "dataset": "ris.personal",
    "parameters": {},
}
FILES = {"data.json": b'{"name":"x"}', "data.pdf": b"%PDF-1.4 " + bytes(200)}


def package(key: jose.Key = KEY, **claims: Any) -> bytes:
    return package_file.build(FILES, MANIFEST | claims, key)


def repacked(octets: bytes, changes: dict[str, bytes | None], method: int = zipfile.ZIP_STORED) -> bytes:
    """The same ZIP with files changed, added or (None) left out."""
    with zipfile.ZipFile(io.BytesIO(octets)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()} | changes
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            if content is not None:
                archive.writestr(name, content)
    return buffer.getvalue()


def test_a_package_says_who_signed_what_and_when() -> None:
    found = packages.verify(package(), AGENCIES)
    assert (found.agency_id, found.kid, found.manifest["dataset"]) == ("ris", KEY.kid, "ris.personal")


def test_how_it_is_packed_is_nobodys_statement() -> None:
    assert packages.verify(repacked(package(), {}, zipfile.ZIP_DEFLATED), AGENCIES).agency_id == "ris"


@pytest.mark.parametrize(
    ("octets", "cause"),
    [
        (repacked(package(), {"data.json": b'{"name":"y"}'}), "text"),
        (repacked(package(), {"more.txt": b""}), "text"),
        (repacked(package(), {"data.pdf": None}), "text"),
        (repacked(package(), {"manifest.jws": None}), "form"),
        (repacked(package(), {"manifest.jws": b"a.b.c"}), "form"),
        (package(new_key()), "key"),
        (package(iss="nobody"), "key"),
        (package(iss=None), "key"),
        (package(iss="bli"), "key"),
        (package()[:-30], "text"),
        (b"PK\x03\x04", "text"),
    ],
)
def test_what_an_agency_did_not_sign_is_not_genuine(octets: bytes, cause: str) -> None:
    with pytest.raises(NotGenuine) as raised:
        packages.verify(octets, AGENCIES)
    assert raised.value.cause == cause


def test_one_changed_bit_of_the_manifest_and_of_the_files_fails() -> None:
    octets = package()
    with zipfile.ZipFile(io.BytesIO(octets)) as archive:
        spans = [(entry.header_offset + 30 + len(entry.filename), entry.file_size) for entry in archive.infolist()]
    places = [start + offset for start, size in spans for offset in range(0, size, 7)]
    for place in places:
        changed = bytearray(octets)
        changed[place] ^= 1
        with pytest.raises(NotGenuine):
            packages.verify(bytes(changed), AGENCIES)
    assert len(places) > 50


def test_the_command_verifies_it_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "package.zip").write_bytes(package(parameters={"tax_year": "113"}))
    (tmp_path / "changed.zip").write_bytes(repacked(package(), {"data.json": b"{}"}))
    listed = [{"id": "ris", "jwks": public(KEY)}, {"id": "nhi", "jwks": {"keys": []}}]
    (tmp_path / "catalogue.json").write_bytes(orjson.dumps({"agencies": listed}))
    (tmp_path / "jwks.json").write_bytes(orjson.dumps(public(KEY)))
    for file, keys, status, said in (
        ("package.zip", "catalogue.json", 0, "package.zip: intact: package of an agency"),
        ("changed.zip", "catalogue.json", 1, "changed.zip: not intact: "),
        ("package.zip", "jwks.json", 2, "package.zip: cannot be judged: a package needs the keys of agencies"),
    ):
        result = CliRunner().invoke(cli, ["verify", file, "--keys", keys])
        assert (result.exit_code, said in result.output) == (status, True), result.output
    told = CliRunner().invoke(cli, ["verify", "package.zip", "--keys", "catalogue.json"]).output
    for words in ("ris.personal", "tax_year 113", "data.json, data.pdf", "T0000-0000-0000", KEY.kid):
        assert words in told
