"""A sandbox whose folder was named goes on where it stopped: an integrator starts it on many days."""

import socket
from pathlib import Path

import pytest

from client_examples.sandbox import promises
from client_examples.sandbox.before import Before
from client_examples.sandbox.browser import Browser
from client_examples.sandbox.processes import ProcessFailed
from client_examples.sandbox.sandbox import Sandbox
from client_examples.sandbox.settings import write_toml


def test_people_registrations_and_addresses_are_those_of_before(tmp_path: Path) -> None:
    with Sandbox(work=tmp_path, banks=()) as first:
        mine = write_toml(tmp_path / "mine.toml", first.checker.registration() | {"client_id": "my-own"})
        first.commands(["client", "add", mine])
    with Sandbox(work=tmp_path, banks=("desk",)) as again:
        assert again.binds == first.binds
        assert "my-own\tfapi2\tactive" in again.commands(["client", "list"])
        assert "\twu\t" in again.commands(["office", "list", "district-office-of-samples"]), "who is new is registered"
        request, address = again.checker.ask("ris.personal")
        browser = Browser(stop_at=again.checker.redirect_uri)
        page = browser.open(address)
        page = promises.sign_in(browser, page, again.citizens[0], lambda _: None)
        browser.submit(page, "consent-approve")
        again.checker.take_answer(request, browser.stopped_at)
        (got,) = again.checker.fetch_all(request, lambda _: None)
        assert got.status == "done"


def test_another_database_in_between_takes_nothing_away(tmp_path: Path) -> None:
    first = Sandbox(work=tmp_path, banks=())
    first._make_folders()
    first._make_settings()
    Before(tmp_path).keep(first.binds, ["jia"])
    kept = {name: tmp_path / "server" / name for name in ("keys.json", "secret", "mydata.sqlite3")}
    kept["mydata.sqlite3"].write_bytes(b"a database")
    before = {name: file.read_bytes() for name, file in kept.items()}
    second = Sandbox(work=tmp_path, banks=(), db="postgresql")
    try:
        second._start_database()
        second._make_settings()
        assert second._known == frozenset(), "its own server begins with nobody"
    finally:
        second.stop()
    assert {name: file.read_bytes() for name, file in kept.items()} == before


def test_a_start_that_broke_off_counts_for_nothing(tmp_path: Path) -> None:
    Sandbox(work=tmp_path, banks=())._make_folders()
    left = [tmp_path / name for name in ("server/mydata.sqlite3", "ca/root.pem", "ca/cards/jia.p12")]
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half of it")
    sandbox = Sandbox(work=tmp_path, banks=())
    sandbox._make_folders()
    sandbox._make_settings()
    assert not any(file.exists() for file in left)


def test_a_folder_of_somebody_else_s_is_left_as_it_is(tmp_path: Path) -> None:
    theirs = [tmp_path / name for name in ("server/mydata.sqlite3", "server/secret", "ca/root.pem")]
    for file in theirs:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"theirs")
    with pytest.raises(ProcessFailed, match="is not empty, and no sandbox: name a folder that is new"):
        Sandbox(work=tmp_path, banks=()).start()
    assert [file.read_bytes() for file in theirs] == [b"theirs"] * 3
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(theirs)


def test_it_does_not_go_on_elsewhere(tmp_path: Path) -> None:
    before = Sandbox(work=tmp_path, banks=())
    Before(tmp_path).keep(before.binds, ["jia"])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", before.binds["server"]))
        other.listen()
        with pytest.raises(ProcessFailed, match=r"is a sandbox on the ports .* stop that, delete the folder"):
            Sandbox(work=tmp_path, banks=()).start()
