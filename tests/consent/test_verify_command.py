"""`mydata verify` as anybody types it who has a file and the published keys, and nothing else of the platform."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from authz_server.cli import cli
from authz_server.core import documents, jose
from tests.core.servers import say, serving
from tests.portal.test_consents import decided
from tests.support.platform import Platform, new_key, public

Run = Callable[..., Result]


@pytest.fixture
def run(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Types the command in a folder with the published keys and a receipt, a PDF and a record of one citizen."""
    citizen = platform.citizen()
    reference = decided(platform, citizen, "ris.personal")
    for name, address in {
        "jwks.json": "/jwks",
        "receipt.json": f"/consent/{reference}/receipt.json",
        "receipt.pdf": f"/consent/{reference}/receipt.pdf",
        "record.json": "/record/export.json",
    }.items():
        (tmp_path / name).write_bytes(citizen.client.get(address).data)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MYDATA_SETTINGS", raising=False)

    def run(*arguments: str, status: int) -> Result:
        result = CliRunner().invoke(cli, ["verify", *arguments])
        assert result.exit_code == status, result.output
        return result

    return run


def test_what_is_intact_is_named(run: Run, platform: Platform) -> None:
    receipt = run("receipt.json", "--keys", "jwks.json", status=0).output
    claims = orjson.loads(Path("receipt.json").read_bytes())["receipt"]
    assert receipt.startswith("receipt.json: intact: receipt of a consent\n")
    for words in (claims["receipt_id"], "First Sample Bank", "ris.personal", "given", platform.settings.issuer):
        assert words in receipt
    pdf = run("receipt.pdf", "--keys", "jwks.json", status=0).output
    assert pdf.startswith("receipt.pdf: intact: receipt of a consent, as PDF")
    assert claims["receipt_id"] in pdf
    record = run("record.json", "--keys", "jwks.json", "--issuer", platform.settings.issuer, status=0).output
    assert record.startswith("record.json: intact: record of one citizen")
    assert "entries" in record


@pytest.mark.parametrize("name", ["receipt.json", "receipt.pdf", "record.json"])
def test_one_changed_bit_is_status_1(run: Run, name: str) -> None:
    octets = bytearray(Path(name).read_bytes())
    octets[len(octets) // 2] ^= 1
    Path(name).write_bytes(octets)
    result = run(name, "--keys", "jwks.json", status=1)
    assert result.stdout == ""
    assert result.stderr.startswith(f"{name}: not intact: ")


def test_what_is_somebody_elses_is_status_1(run: Run) -> None:
    elsewhere = run("receipt.json", "--keys", "jwks.json", "--issuer", "https://other.example", status=1)
    assert "signed for another platform" in elsewhere.stderr
    Path("letter.json").write_text("{}")
    assert "no receipt, record or package" in run("letter.json", "--keys", "jwks.json", status=1).stderr


def test_of_several_files_each_is_told_and_the_worst_counts(run: Run) -> None:
    Path("letter.json").write_text("{}")
    result = run("letter.json", "receipt.pdf", "none.json", "record.json", "--keys", "jwks.json", status=1)
    assert [line.split(": ")[:2] for line in result.stderr.splitlines()] == [
        ["letter.json", "not intact"],
        ["none.json", "cannot be judged"],
    ]
    assert result.stdout.count(": intact: ") == 2
    run("receipt.pdf", "none.json", "--keys", "jwks.json", status=2)


def test_with_a_file_of_other_keys_it_can_not_be_judged(run: Run) -> None:
    # The key may have come after the file.
    Path("old.json").write_bytes(orjson.dumps(public(new_key("ES256"))))
    result = run("receipt.json", "--keys", "old.json", status=2)
    assert result.stderr.startswith("receipt.json: cannot be judged: it is signed with a key that is not in old.json")


@pytest.mark.parametrize("keys", ["{}", "nothing", '{"keys": [{"kty": "oct", "k": "AAAA"}]}'])
def test_without_keys_it_can_not_be_judged(run: Run, keys: str) -> None:
    Path("bad.json").write_text(keys)
    assert run("receipt.json", "--keys", "bad.json", status=2).stderr.startswith("cannot be judged: ")
    run("receipt.json", "--keys", "none.json", status=2)
    assert "none.json: cannot be judged: No such file" in run("none.json", "--keys", "jwks.json", status=2).stderr
    assert "give --keys FILE or --issuer URL" in run("receipt.json", status=2).stderr


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "they are not JSON"),
        ("[]", "a JWKS is an object with 1 to 32 keys"),
        ('{"agencies": [{}]}', "not a catalogue"),
        (orjson.dumps({"agencies": [{"id": [], "jwks": public(new_key("ES256"))}]}).decode(), "not a catalogue"),
    ],
)
def test_what_is_wrong_with_the_keys_is_said_in_words(run: Run, content: str, why: str) -> None:
    Path("bad.json").write_text(content)
    assert run("receipt.json", "--keys", "bad.json", status=2).stderr == f"cannot be judged: the keys: {why}\n"


@pytest.mark.parametrize(
    ("issuer", "why"),
    [
        ("http://id.example", "an issuer is an https URL"),
        ("id.example", "an issuer is an https URL"),
        ("https://", "not an http(s) URL of a host, or with a user"),
        ("http://127.0.0.1:1", "they can't be fetched from http://127.0.0.1:1 (connect: ConnectionRefusedError)"),
    ],
)
def test_why_the_keys_of_an_issuer_are_not_to_be_had_is_said_in_words(run: Run, issuer: str, why: str) -> None:
    assert run("receipt.json", "--issuer", issuer, status=2).stderr == f"cannot be judged: the keys: {why}\n"


def test_what_is_too_large_can_not_be_judged(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_BYTES", 100)
    assert "larger than" in run("receipt.json", "--keys", "jwks.json", status=2).stderr


def test_the_keys_are_fetched_of_the_issuer_and_of_nobody_else(run: Run) -> None:
    key = new_key("ES256")
    body = orjson.dumps(public(key))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    with serving(say(head + body)) as server:
        issuer = f"http://127.0.0.1:{server.port}"
        claims = orjson.loads(Path("receipt.json").read_bytes())["receipt"]
        Path("own.json").write_bytes(documents.seal("receipt", claims | {"iss": issuer}, key))
        assert issuer in run("own.json", "--issuer", f"{issuer}/", status=0).output
        # What is fetched now is what counts: another key is not the platform's.
        foreign = run("receipt.json", "--issuer", issuer, status=1)
        assert "a key that is not published by its platform" in foreign.stderr
    assert [request.split(b"\r\n")[0] for request in server.requests] == [b"GET /jwks HTTP/1.1"] * 2
    assert run("own.json", "--issuer", issuer, status=2).stderr.startswith("cannot be judged: ")
    assert "https" in run("own.json", "--issuer", "http://mydata.example", status=2).stderr


def test_a_receipt_from_before_a_key_was_rotated_still_verifies(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = "https://mydata.example"
    Path("mydata.toml").write_text(
        f'issuer = "{issuer}"\nproxy_url = "https://proxy.example"\n'
        'database_url = "sqlite:///x.sqlite3"\nkeys_file = "keys.json"\nsecret_file = "secret"\n'
    )
    monkeypatch.setenv("MYDATA_SETTINGS", str(Path("mydata.toml").resolve()))
    assert CliRunner().invoke(cli, ["keys"]).exit_code == 0
    before = jose.load_keys(Path("keys.json"))
    claims = orjson.loads(Path("receipt.json").read_bytes())["receipt"]
    Path("old.json").write_bytes(documents.seal("receipt", claims | {"iss": issuer}, before.get("ES256")))
    for _ in range(2):
        assert CliRunner().invoke(cli, ["rotate-key"]).exit_code == 0
    now = jose.load_keys(Path("keys.json"))
    assert now.get("ES256").kid != before.get("ES256").kid
    assert Path("keys.json").read_text().count('"d"') == 1, "one private key"
    assert Path("keys.json").stat().st_mode & 0o777 == 0o600
    Path("published.json").write_bytes(orjson.dumps(jose.public_jwks(now)))
    monkeypatch.delenv("MYDATA_SETTINGS")
    assert before.get("ES256").kid in run("old.json", "--keys", "published.json", status=0).output
