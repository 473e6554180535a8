"""`mydata client` and `mydata agency`, run as commands, with a registry of another process looking on."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.catalogue import loader
from authz_server.catalogue.model import Catalogue
from authz_server.clients import own
from authz_server.clients.commands import agency as agency_group
from authz_server.clients.commands import client as client_group
from authz_server.clients.commands import dataset as dataset_group
from authz_server.clients.document import Context
from authz_server.clients.models import Agency as AgencyRow
from authz_server.clients.models import Client as ClientRow
from authz_server.clients.registry import Registry
from authz_server.core import clock, jose
from tests.clients.documents import jwks

CLIENT = """\
client_id = "jia-bank"
registered_id = "00000000"
contact_phone = "02-0000-0000"
contact_email = "privacy@jia-bank.example"
privacy_url = "https://jia-bank.example/privacy"
redirect_uris = ["https://jia-bank.example/callback"]
jwks_file = "jwks.json"
name = { zh = "甲銀行", en = "Jia Bank" }

[purposes.loan]
use_until_days = 30
erase_by_days = 90
text = { zh = "審核您的信用貸款申請", en = "To decide on your loan application" }

[purposes.loan.datasets."fia.income"]
fields_required = ["name", "national_id", "total_income"]
parameters.tax_year = { last = 3 }
"""
AGENCY = 'id = "fia"\nconnector = "jose"\njwks_file = "jwks.json"\n'

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings, keys and documents of an operator."""
    settings = {
        "issuer": "https://mydata.example",
        "database_url": database_url,
        "keys_file": "keys.json",
        "secret_file": "secret",
        "proxy_url": "https://data.mydata.example",
    }
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
    (tmp_path / "mydata.toml").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "jwks.json").write_text(json.dumps(jwks("ES256", "ECDH-ES")), encoding="utf-8")
    (tmp_path / "client.toml").write_text(CLIENT, encoding="utf-8")
    (tmp_path / "agency.toml").write_text(AGENCY, encoding="utf-8")
    monkeypatch.setenv("MYDATA_SETTINGS", str(tmp_path / "mydata.toml"))
    return tmp_path


@pytest.fixture
def client() -> Run:
    return lambda *arguments: CliRunner().invoke(client_group, [str(item) for item in arguments])


@pytest.fixture
def agency() -> Run:
    return lambda *arguments: CliRunner().invoke(agency_group, [str(item) for item in arguments])


@pytest.fixture
def dataset() -> Run:
    return lambda *arguments: CliRunner().invoke(dataset_group, [str(item) for item in arguments])


def test_a_client_is_added_listed_suspended_and_resumed(folder: Path, client: Run) -> None:
    added = client("add", folder / "client.toml")
    assert (added.exit_code, added.output) == (0, "client jia-bank registered\n")
    assert "jia-bank\tfapi2\tactive" in client("list").output
    assert client("suspend", "jia-bank").exit_code == 0
    assert "jia-bank\tfapi2\tsuspended" in client("list").output
    assert client("resume", "jia-bank").exit_code == 0
    assert "jia-bank\tfapi2\tactive" in client("list").output
    assert client("add", folder / "client.toml").exit_code == 1
    assert client("add", "--replace", folder / "client.toml").output == "client jia-bank replaced\n"


def test_who_registers_a_key_of_somebody_else_s_is_warned(folder: Path, client: Run, agency: Run) -> None:
    assert client("add", folder / "client.toml").stderr == ""
    (folder / "other.toml").write_text(CLIENT.replace("jia-bank", "yi-bank"), encoding="utf-8")
    warning = (
        "warning: {}/jwks.json: keys[{}] is a key of {}, too; whoever holds it can sign and open in the name of both\n"
    )
    of_both = "".join(warning.format(folder, number, "client jia-bank") for number in (0, 1))
    added = client("add", folder / "other.toml")
    assert (added.exit_code, added.stdout, added.stderr) == (0, "client yi-bank registered\n", of_both)
    assert agency("add", folder / "agency.toml").stderr.count("is a key of client ") == 2
    (folder / "jwks.json").write_text(json.dumps(jwks("PS256", "RSA-OAEP-256")), encoding="utf-8")
    for document in ("client.toml", "client.toml"):  # one's own, again, is nothing to be warned of
        assert client("add", "--replace", folder / document).stderr == ""
    by_address = 'jwks_uri = "https://bank.example/jwks"'
    for name in ("jia-bank", "yi-bank"):
        document = CLIENT.replace("jia-bank", name).replace('jwks_file = "jwks.json"', by_address)
        (folder / "client.toml").write_text(document, encoding="utf-8")
        told = client("add", "--replace", folder / "client.toml").stderr
    assert told.startswith(f"warning: {folder}/client.toml:7: jwks_uri: is that of client jia-bank, too; ")


def test_whoever_registers_what_the_sandbox_will_not_call_is_warned(folder: Path, client: Run) -> None:
    settings = (folder / "mydata.toml").read_text(encoding="utf-8")
    listed = 'sandbox = true\nallowed_outbound_hosts = ["127.0.0.1:8009"]\n'
    (folder / "mydata.toml").write_text(f"{listed}{settings}", encoding="utf-8")

    def warned(url: str) -> str:
        document = f'security_event_endpoint = "{url}"\n{CLIENT}'
        (folder / "client.toml").write_text(document, encoding="utf-8")
        added = client("add", "--replace", folder / "client.toml")
        assert added.exit_code == 0, added.output
        return added.stderr

    for url in ("http://127.0.0.1:8009/events", "https://bank.example/events", "https://127.0.0.1/events"):
        assert warned(url) == ""
    told = "security_event_endpoint: is never called, unless allowed_outbound_hosts has 127.0.0.1:"
    assert warned("http://127.0.0.1:8010/events") == f"warning: {folder}/client.toml:1: {told}8010\n"
    assert warned("http://127.0.0.1/events") == f"warning: {folder}/client.toml:1: {told}80\n"


def test_what_was_registered_by_other_rules_and_can_not_be_used_is_listed_as_that_with_each_reason(
    folder: Path, client: Run, agency: Run, engine: Engine
) -> None:
    for run, document in ((client, "client.toml"), (agency, "agency.toml")):
        assert run("add", folder / document).exit_code == 0
    assert client("suspend", "jia-bank").exit_code == 0
    other = CLIENT.replace("jia-bank", "yi-bank")
    (folder / "client.toml").write_text(other, encoding="utf-8")
    assert client("add", folder / "client.toml").exit_code == 0
    impossible = {"redirect_uris": ["https://a..b/callback"], "privacy_url": "https://b..c/"}
    with Session(engine) as session, session.begin():
        session.execute(update(ClientRow).where(ClientRow.client_id != own.CLIENT_ID).values(impossible))
        session.execute(update(AgencyRow).values(connector="fax"))
    suspended, ours, unusable = client("list").output.splitlines()
    (of_agency,) = agency("list").output.splitlines()
    hosts = "must have a host in small letters after https://, and neither wildcard nor user nor password"
    why = f"\tredirect_uris[0]: {hosts}; privacy_url: {hosts}"
    assert (suspended.split("\t")[2], why in suspended) == ("suspended", True)
    assert (unusable.split("\t")[2], why in unusable) == ("unusable", True)
    assert ours.startswith(f"{own.CLIENT_ID}\t{own.PROFILE}\tactive\t")
    assert of_agency.split("\t")[2] == "unusable"
    assert "\tconnector: " in of_agency


def test_an_agency_is_added_listed_suspended_and_resumed(folder: Path, agency: Run) -> None:
    added = agency("add", folder / "agency.toml")
    assert (added.exit_code, added.output) == (0, "agency fia registered\n")
    assert agency("suspend", "fia").exit_code == 0
    assert "fia\tjose\tsuspended" in agency("list").output
    assert agency("resume", "fia").exit_code == 0
    assert "fia\tjose\tactive" in agency("list").output


@pytest.mark.usefixtures("folder")
def test_a_dataset_is_listed_suspended_and_resumed(dataset: Run) -> None:
    assert "fia.income\tactive\t個人所得資料\tPersonal income" in dataset("list").output
    assert dataset("suspend", "fia.income").exit_code == 0
    assert "fia.income\tsuspended" in dataset("list").output
    assert "fia.property\tactive" in dataset("list").output
    assert dataset("resume", "fia.income").exit_code == 0
    assert "fia.income\tactive" in dataset("list").output


@pytest.mark.usefixtures("folder")
def test_a_dataset_that_left_the_catalogue_suspended_comes_back_so_and_can_be_resumed_at_any_time(
    dataset: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = loader.load()
    without = Catalogue(agencies=tuple(agency for agency in whole if agency.id != "fia"), version="without")
    context = Context(whole)
    dataset("suspend", "fia.income")
    with monkeypatch.context() as patch:
        patch.setattr(loader, "load", lambda: without)
        assert "fia.income\tsuspended\tnot in the catalogue\n" in dataset("list").output
        assert "fia.property" not in dataset("list").output
    assert Registry(engine, context).suspended_datasets() == {"fia.income"}
    with monkeypatch.context() as patch:
        patch.setattr(loader, "load", lambda: without)
        assert dataset("resume", "fia.income").output == "dataset fia.income resumed\n"
        assert dataset("resume", "fia.income").exit_code == 1
    assert Registry(engine, context).suspended_datasets() == frozenset()
    assert "fia.income\tactive" in dataset("list").output


def test_what_is_so_already_is_said_and_not_recorded_again(
    folder: Path, client: Run, agency: Run, dataset: Run, engine: Engine
) -> None:
    client("add", folder / "client.toml")
    agency("add", folder / "agency.toml")
    for run, what in ((client, "client jia-bank"), (agency, "agency fia"), (dataset, "dataset fia.income")):
        name = what.split()[1]
        assert run("resume", name).output == f"{what} is not suspended\n"
        assert run("suspend", name).output == f"{what} suspended\n"
        again = run("suspend", name)
        assert (again.exit_code, again.output) == (0, f"{what} is suspended already\n")
        assert run("resume", name).output == f"{what} resumed\n"
    with Session(engine) as session:
        events = session.scalars(select(AuditEntry.event).order_by(AuditEntry.id)).all()
    assert events == [f"{what}.{how}" for what in ("client", "agency", "dataset") for how in ("suspended", "resumed")]


@pytest.mark.usefixtures("folder")
def test_nobody_can_not_be_suspended(client: Run, agency: Run, dataset: Run) -> None:
    for result in (
        client("suspend", "nobody"),
        client("resume", "nobody"),
        agency("suspend", "nobody"),
        dataset("suspend", "nobody"),
        dataset("resume", "nobody"),
    ):
        assert result.exit_code == 1
        assert "Nothing is registered under this name." in result.output


BROKEN: dict[str, tuple[str, str, str]] = {
    "syntax": ("[purposes.loan]", "[purposes.loan", "client.toml:10: "),
    "misspelt": ("use_until_days", "use_until", "client.toml:11: purposes.loan.use_until: is not known here"),
    "dataset": ('"fia.income"', '"fia.incomes"', 'client.toml:15: purposes.loan.datasets."fia.incomes": is not in'),
    "range": ("last = 3", "last = 0", "client.toml:17: purposes.loan.datasets"),
    "keys": ('"jwks.json"', '"nothing.json"', "client.toml:7: jwks_file: "),
    "quote": ('"00000000"', '"00000000', "client.toml:2: is not TOML: "),
    "dot": ('datasets."fia.income"', "datasets.fia.income", "client.toml:10: purposes.loan.datasets.fia: is not in the "
        'catalogue; ids have a dot and stand in quotes, as in datasets."fia.income"'),
    "both": ('jwks_file = ', 'jwks_uri = "https://jia-bank.example/jwks"\njwks_file = ', "client.toml:7: jwks_uri: "
        "jwks or jwks_uri, not both"),
    "text": ('["https://jia-bank.example/callback"]', '"https://jia-bank.example/callback"', "client.toml:6: "
        "redirect_uris: must be a list of texts"),
    "no text": ('["https://jia-bank.example/callback"]', '""', "client.toml:6: redirect_uris: must be a list of texts"),
    "host": ('"https://jia-bank.example/callback"', '"jia-bank.example/callback"', "client.toml:6: redirect_uris[0]: "
        "must have a host in small letters after https://"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_told_with_its_line(name: str, folder: Path, client: Run) -> None:
    old, new, message = BROKEN[name]
    (folder / "client.toml").write_text(CLIENT.replace(old, new), encoding="utf-8")
    result = client("add", folder / "client.toml")
    assert result.exit_code == 1
    assert message in result.output
    # A key that is misspelt is missing besides; nothing else leads to a second line.
    assert len(re.findall(r"(?:client\.toml|jwks\.json):", result.output)) == (2 if name == "misspelt" else 1)
    assert "jia-bank" not in client("list").output


SHORT = {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}
WEAK: dict[str, tuple[str, str]] = {
    "syntax": ('{\n"keys": [\n}', "jwks.json:3: is not JSON: "),
    "deep": ("[" * 5000, "jwks.json:1: is not JSON: "),
    "half a character": ('{"keys": ["\\ud800"]}', "jwks.json:1: is not JSON: "),
    "nothing": ("null", "jwks.json: a JWKS is an object with 1 to 32 keys"),
    "a key": (json.dumps({"keys": [SHORT]}), "jwks.json: keys[0]: a coordinate has the wrong length"),
    "a kid of two lines": (json.dumps({"keys": [jwks("ES256")["keys"][0] | {"kid": "a\nb"}]}),
        "jwks.json: keys[0]: kid has a line break, or another character that nobody sees\n"),
    "use": (json.dumps(jwks("ECDH-ES")), "jwks.json: has no key for the client's assertions (use sig; alg, if it "),
    "private": (json.dumps({"keys": [jose.generate_key("ES256")]}), "jwks.json: keys[0]: private or symmetric key "
        "where a public key belongs; replace it, it is a secret no more"),
    "PEM": ("-----BEGIN PUBLIC KEY-----\n", 'jwks.json: is PEM; a JWKS is wanted, {"keys": [...]} with public members '
        "only (RFC 7517)\n"),
    "private PEM": ("-----BEGIN EC " + "PRIVATE KEY-----\n", "jwks.json: is PEM; a JWKS is wanted, "
        '{"keys": [...]} with public members only (RFC 7517). It holds a private key'),
}  # fmt: skip


@pytest.mark.parametrize("name", WEAK)
def test_what_is_wrong_with_keys_is_told_of_the_file_in_which_they_are(name: str, folder: Path, client: Run) -> None:
    content, message = WEAK[name]
    (folder / "jwks.json").write_text(content, encoding="utf-8")
    output = client("add", folder / "client.toml").output
    assert f"{folder}/{message}" in output
    assert "client.toml" not in output


def test_a_file_that_is_not_text_is_told(folder: Path, client: Run) -> None:
    (folder / "client.toml").write_bytes(b"\xff")
    assert "client.toml:1: is not UTF-8" in client("add", folder / "client.toml").output
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        (folder / "client.toml").write_bytes("client_id = 'jia-bank'".encode(encoding))
        assert "client.toml:1: is UTF-16; save it as UTF-8" in client("add", folder / "client.toml").output
    (folder / "client.toml").write_bytes(b"PK\x03\x04\x14\x00\x00\x00\x08\x00" * 9)
    assert "client.toml:1: is no text" in client("add", folder / "client.toml").output
    (folder / "client.toml").write_text("a = " + "[" * 5000, encoding="utf-8")
    assert "client.toml:1: is nested too deeply" in client("add", folder / "client.toml").output
    (folder / "client.toml").write_text("a = " + "1" * 5000, encoding="utf-8")
    assert "client.toml:1: has a number that can't be read" in client("add", folder / "client.toml").output
    (folder / "client.toml").write_text(CLIENT, encoding="utf-8")
    (folder / "jwks.json").write_text("{}", encoding="utf-16")
    assert "jwks.json: is UTF-16; save it as UTF-8" in client("add", folder / "client.toml").output


def test_what_comes_through_a_pipe_is_told_as_what_it_is(client: Run) -> None:
    reading, writing = os.pipe()
    os.write(writing, "client_id = 'jia-bank'".encode("utf-16"))
    os.close(writing)
    assert "is UTF-16; save it as UTF-8" in client("add", f"/dev/fd/{reading}").output
    os.close(reading)


def test_a_byte_order_mark_and_line_ends_of_windows_change_nothing(folder: Path, client: Run) -> None:
    for name in ("client.toml", "jwks.json"):
        text = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(text, encoding="utf-8-sig", newline="\r\n")
    assert client("add", folder / "client.toml").output == "client jia-bank registered\n"
    broken = CLIENT.replace("use_until_days", "use_until")
    (folder / "client.toml").write_text(broken, encoding="utf-8-sig", newline="\r\n")
    assert "client.toml:11: purposes.loan.use_until: is not known here" in client("add", folder / "client.toml").output


def test_a_file_for_the_other_command_is_told_as_that(folder: Path, client: Run, agency: Run) -> None:
    assert "agency.toml:1: describes an agency: mydata agency add\n" in client("add", folder / "agency.toml").output
    assert "client.toml:1: describes a client: mydata client add\n" in agency("add", folder / "client.toml").output


def test_who_is_registered_already_can_be_replaced(folder: Path, client: Run) -> None:
    client("add", folder / "client.toml")
    told = client("add", folder / "client.toml")
    assert told.exit_code == 1
    assert "client.toml:1: client_id: is registered already; --replace puts this in its place\n" in told.output


def test_a_command_of_another_process_reaches_a_running_registry(
    folder: Path, engine: Engine, catalogue: Catalogue
) -> None:
    registry = Registry(engine, Context(catalogue))
    command = [sys.executable, "-c", "from authz_server.clients.commands import client; client()"]
    with clock.frozen(clock.now()):
        assert registry.client("jia-bank") is None
        subprocess.run([*command, "add", str(folder / "client.toml")], check=True, capture_output=True)
        clock.advance(timedelta(seconds=1))
        found = registry.client("jia-bank")
        assert found is not None
        assert not found.suspended
