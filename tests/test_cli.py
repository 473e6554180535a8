"""Commands that start something: what is wrong is told before anything listens."""

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from authz_server import schema
from authz_server.audit.models import AuditEntry
from authz_server.cli import cli, main
from authz_server.config import Settings
from authz_server.core import jose
from authz_server.core.settings import SettingsError
from authz_server.database import new_engine
from tests.support.commands import refused, settings_file
from tests.support.ports import free_port
from tests.support.self_signed import self_signed


@pytest.mark.parametrize("content", [None, "{", '{"keys": []}'])
def test_a_file_of_keys_that_no_server_could_read_is_not_rotated(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(settings, tmp_path)))
    keys = tmp_path / "keys.json"
    keys.unlink(missing_ok=True)
    if content is not None:
        keys.write_text(content)
        keys.chmod(0o600)
    problem = CliRunner().invoke(cli, ["rotate-key"]).exception
    assert isinstance(problem, SettingsError)
    assert str(problem).startswith("keys_file: ")
    assert (keys.read_text() if keys.exists() else None) == content


def test_a_key_is_rotated_and_a_stolen_one_forgotten(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(settings, tmp_path)))
    kids = [key.kid for key in jose.load_keys(settings.keys_file)]
    assert CliRunner().invoke(cli, ["rotate-key"]).exit_code == 0
    fresh, *retired = [key.kid for key in jose.load_keys(settings.keys_file)]
    assert retired == kids
    assert CliRunner().invoke(cli, ["rotate-key", "--stolen"]).exit_code == 0
    _, *retired = [key.kid for key in jose.load_keys(settings.keys_file)]
    assert retired == kids
    assert fresh not in settings.keys_file.read_text()


def test_keys_behind_a_link_are_made_and_replaced_where_they_are(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(settings, tmp_path)))
    behind = tmp_path / "behind"
    settings.keys_file.unlink()
    settings.keys_file.symlink_to(behind / "keys.json")
    kids = []
    for command in ("keys", "rotate-key"):
        assert CliRunner().invoke(cli, [command]).exit_code == 0
        kids.append([key.kid for key in jose.load_keys(behind / "keys.json")])
    assert kids[1][1:] == kids[0]
    assert settings.keys_file.is_symlink()


def test_a_key_that_was_stolen_before_it_was_rotated_is_forgotten_by_its_name(
    settings: Settings, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(settings, tmp_path)))

    def kids() -> list[str]:
        return [key.kid for key in jose.load_keys(settings.keys_file)]

    (first,) = kids()
    for _ in range(2):
        CliRunner().invoke(cli, ["rotate-key"])
    in_force, second, _ = kids()
    result = CliRunner().invoke(cli, ["rotate-key", "--stolen", "--kid", first])
    assert (result.exit_code, result.output) == (0, "forgotten; restart the servers\n")
    assert kids() == [in_force, second]
    assert stat.S_IMODE(settings.keys_file.stat().st_mode) == 0o600
    for wrong in (["--kid", second], ["--stolen", "--kid", first], ["--stolen", "--kid", ""]):
        assert CliRunner().invoke(cli, ["rotate-key", *wrong]).exit_code != 0
    assert kids() == [in_force, second]
    result = CliRunner().invoke(cli, ["rotate-key", "--stolen", "--kid", in_force])
    assert result.output == "rotated; restart the servers\n"
    fresh, *retired = kids()
    assert (fresh != in_force, retired) == (True, [second])
    assert session.scalars(select(AuditEntry.event).where(AuditEntry.reason == "stolen")).all() == [
        "platform.key_forgotten",
        "platform.key_rotated",
    ]


def test_a_stolen_key_whose_file_names_none_is_known_by_the_name_that_is_published(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(settings, tmp_path)))
    document = json.loads(settings.keys_file.read_bytes())
    del document["keys"][0]["kid"]
    settings.keys_file.write_text(json.dumps(document))
    (stolen,) = jose.load_keys(settings.keys_file)
    result = CliRunner().invoke(cli, ["rotate-key", "--stolen", "--kid", stolen.kid])
    assert result.output == "rotated; restart the servers\n"
    assert [key.kid for key in jose.load_keys(settings.keys_file)] != [stolen.kid]


def test_a_rotation_of_the_key_is_on_the_record_unless_the_database_is_away(
    settings: Settings, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(settings, tmp_path)))
    for command in (["rotate-key"], ["rotate-key", "--stolen"]):
        assert CliRunner().invoke(cli, command).exit_code == 0
    told = select(AuditEntry.event, AuditEntry.reason, AuditEntry.actor, AuditEntry.citizen_id).order_by(AuditEntry.id)
    assert [tuple(row) for row in session.execute(told)] == [
        ("platform.key_rotated", None, "operator", None),
        ("platform.key_rotated", "stolen", "operator", None),
    ]
    before = settings.keys_file.read_bytes()
    monkeypatch.setenv("MYDATA_DATABASE_URL", "postgresql+psycopg://nobody@/nothing?host=/nonexistent")
    result = CliRunner().invoke(cli, ["rotate-key", "--stolen"])
    assert result.exit_code == 0
    assert "platform.key_rotated is not on the record: connection" in result.output
    assert settings.keys_file.read_bytes() != before


def test_a_command_without_its_database_or_tables_says_so_in_a_line(settings: Settings, tmp_path: Path) -> None:
    file = str(settings_file(settings, tmp_path))

    def told(*arguments: str, **more: str) -> list[str]:
        lines = refused(*arguments, MYDATA_SETTINGS=file, **more).splitlines()
        return [line for line in lines if not line.startswith("{")]  # the log

    assert "Can't locate revision identified by 'x'" in told("migrate", "--back-to", "x")[-1]
    schema.migrate(settings.database_url, back_to="base")
    assert told("client", "list")[-1].endswith(": mydata migrate")
    nowhere = "postgresql+psycopg://nobody@/nothing?host=/nonexistent"
    (line,) = told("client", "list", MYDATA_DATABASE_URL=nowhere)
    assert line.startswith("mydata: database_url: connection")


def test_migrate_tells_each_step_and_where_that_led(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(settings, tmp_path)))

    def lines(*arguments: str) -> list[str]:
        result = CliRunner().invoke(cli, ["migrate", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    newest, led = schema.newest(), f"tables of version {schema.newest()}"
    assert lines() == [led]
    away = lines("--back-to", "0028")
    assert away[0].startswith(f"{newest} away again: ")
    assert away[-1].startswith("0029 away again: The database knows its secret file")
    again = lines()
    assert again[0].startswith("0029 The database knows its secret file")
    assert again[-1] == led
    assert len(again) == len(away) + 1


def test_migrate_goes_on_where_nobody_reads_what_it_tells(settings: Settings, tmp_path: Path) -> None:
    environment = os.environ | {"MYDATA_SETTINGS": str(settings_file(settings, tmp_path))}
    command = [sys.executable, "-c", "from authz_server.cli import main; main()", "migrate"]
    for more, led_to in ((["--back-to", "0028"], "0028"), ([], schema.newest())):
        nobody_s, ours = os.pipe()
        os.close(nobody_s)
        done = subprocess.run([*command, *more], env=environment, stdout=ours, stderr=subprocess.PIPE, text=True)
        os.close(ours)
        assert (done.returncode, done.stderr) == (0, "")
        engine = new_engine(settings.database_url)
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT version_num FROM alembic_version")) == led_to
        engine.dispose()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["figures", "--from", "0001-01-01", "--to", "0001-01-02"], "a day is of the years 2000 to 2999"),
        (["figures", "--to", "0001-01-01"], "a day is of the years 2000 to 2999"),
        (["figures", "--to", "9999-12-31"], "a day is of the years 2000 to 2999"),
        (["migrate", "--back-to", ""], "is empty"),
    ],
)
def test_what_no_command_can_do_is_told_in_a_line(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(settings, tmp_path)))
    result = CliRunner().invoke(cli, arguments)
    assert (result.exit_code, told in result.output) == (2, True)


def test_tables_of_a_newer_release_are_told_as_that(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = new_engine(settings.database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(settings, tmp_path)))
    problem = CliRunner().invoke(cli, ["migrate"]).exception
    assert isinstance(problem, SettingsError)
    assert str(problem).startswith("database_url: its tables are of another release, or a newer one: ")


def test_an_argument_that_is_no_text_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mydata", "citizen", "suspend", "\udcff"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err == "mydata: an argument is not UTF-8\n"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_takes_no_changes_is_told_in_a_line(settings: Settings, tmp_path: Path) -> None:
    """As a standby, or one whose disk is full."""
    engine = new_engine(settings.database_url)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE {engine.url.database} SET default_transaction_read_only = on"))
    engine.dispose()
    told = refused("restored", "--yes", MYDATA_SETTINGS=str(settings_file(settings, tmp_path)))
    (line,) = told.splitlines()
    assert line.startswith("mydata: database_url: cannot execute ")


OF_ANY_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def told_by_serve(settings: Settings, folder: Path, **changes: str) -> str:
    """The one line in which a server says why it does not start."""
    changes = {"settings": str(settings_file(settings, folder)), "bind": f"127.0.0.1:{free_port()}", **changes}
    (line,) = refused("serve", **{f"MYDATA_{name.upper()}": value for name, value in changes.items()}).splitlines()
    return line.removeprefix("mydata: ")


@OF_ANY_DATABASE
def test_an_address_that_is_taken_or_not_of_this_host_is_told_in_a_line(settings: Settings, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:  # as another server of ours listens
        port = taken.getsockname()[1]
        line = told_by_serve(settings, tmp_path, bind=f"127.0.0.1:{port}")
        assert line == f"bind: 127.0.0.1, port {port}: Address already in use"
    assert told_by_serve(settings, tmp_path, bind="192.0.2.1:8000").startswith("bind: 192.0.2.1, port 8000: ")


@OF_ANY_DATABASE
def test_a_certificate_that_nobody_could_serve_with_is_told_in_a_line(settings: Settings, tmp_path: Path) -> None:
    for folder in ("ours", "other"):
        (tmp_path / folder).mkdir()
        self_signed(tmp_path / folder, "127.0.0.1")
    cert, key = (tmp_path / folder / "server.pem" for folder in ("ours", "other"))
    (tmp_path / "text.pem").write_text("no certificate")
    for there, told in (
        ("absent.pem", "tls_cert: [Errno 2] No such file"),
        (".", "tls_cert: [Errno 21] Is a directory"),
        ("text.pem", "tls_cert, tls_key: "),
        (str(cert), "tls_cert, tls_key: "),
    ):
        assert told_by_serve(settings, tmp_path, tls_cert=there, tls_key=str(key)).startswith(told)


@OF_ANY_DATABASE
def test_a_file_that_is_no_database_is_told_in_a_line(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database" * 100)
    assert told_by_serve(settings, tmp_path, database_url=f"sqlite:///{tmp_path}/text") == (
        "database_url: file is not a database"
    )
    nowhere = f"{tmp_path}/nowhere/database"
    told = told_by_serve(settings, tmp_path, database_url=f"sqlite:///{nowhere}")
    assert told == f"database_url: No such file or directory: {nowhere}"


@OF_ANY_DATABASE
def test_a_file_is_told_with_the_setting_that_names_it(settings: Settings, tmp_path: Path) -> None:
    line = told_by_serve(settings, tmp_path, keys_file="absent.json")
    assert line == f"keys_file: {tmp_path / 'absent.json'}: No such file or directory"


@OF_ANY_DATABASE
def test_a_retired_key_does_not_stand_in_for_one_that_signs(settings: Settings, tmp_path: Path) -> None:
    retired = {name: value for name, value in jose.generate_key("ES256").items() if name != "d"} | {"retired_at": 0}
    (tmp_path / "some.json").write_text(json.dumps({"keys": [jose.generate_key("ES384")], "retired": [retired]}))
    (tmp_path / "some.json").chmod(0o600)
    told = "keys_file: no private key for ES256; mydata keys makes one"
    assert told_by_serve(settings, tmp_path, keys_file="some.json") == told


@OF_ANY_DATABASE
@pytest.mark.parametrize(("alg", "lacking"), [("ES256", "use"), ("ES256", "alg"), ("ES384", "nothing")])
def test_keys_that_could_not_sign_or_do_not_say_what_they_are_for_are_told_at_the_start(
    settings: Settings, tmp_path: Path, alg: str, lacking: str
) -> None:
    key = {name: value for name, value in jose.generate_key(alg).items() if name != lacking}
    (tmp_path / "some.json").write_text(json.dumps({"keys": [key]}))
    (tmp_path / "some.json").chmod(0o600)
    told = "no private key for ES256; mydata keys makes one" if alg == "ES384" else "every key must have use and alg"
    assert told_by_serve(settings, tmp_path, keys_file="some.json") == f"keys_file: {told}"


@pytest.mark.parametrize("leads", [True, False])
def test_the_worker_gives_way_and_with_it_the_session_that_it_leads(leads: bool) -> None:
    code = "import os, sys; from authz_server import cli; cli.give_way(9); print(os.getpid()); sys.stdin.read()"
    command = [sys.executable, "-uc", code]
    if not leads:
        command = ["sh", "-c", '"$@"; true', "sh", *command]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as leader:
        assert leader.stdout is not None
        pid = int(leader.stdout.readline())
        assert (pid == leader.pid) is leads
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 9)
        autogroup = Path(f"/proc/{pid}/autogroup")
        if autogroup.exists():
            assert autogroup.read_text().endswith(" nice 9\n" if leads else " nice 0\n")
        leader.communicate("", timeout=60)  # everybody else goes first
