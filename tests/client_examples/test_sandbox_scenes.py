"""One sandbox is driven through several scenes; what goes wrong is told with the name of the scene."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from client_examples.sandbox import __main__ as program
from client_examples.sandbox.processes import Process, ProcessFailed
from client_examples.sandbox.promises import PromiseBroken
from client_examples.sandbox.sandbox import Sandbox
from client_examples.sandbox.scenes import LAST, clients_of, scenes
from tests.support.waiting import wait_until

SANDBOX: Any = SimpleNamespace(say=lambda _step: None, resume=lambda: None)


def drives(monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]) -> None:
    monkeypatch.setattr(program, "drive_of", lambda name: lambda *_: said[name]())


def test_one_scene_is_told_of_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    drives(monkeypatch, {"online": lambda: "all fetched"})
    assert program.drive(SANDBOX, ["online"], "") == "all fetched"
    assert not capsys.readouterr().out


def test_each_of_several_scenes_is_told_of_when_it_is_over_and_all_in_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drives(monkeypatch, {"online": lambda: "all fetched", "freeze": lambda: "all refused"})
    assert program.drive(SANDBOX, ["freeze", "online"], "") == "all refused; all fetched"
    assert capsys.readouterr().out == "freeze ok: all refused\nonline ok: all fetched\n"


def test_a_scene_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise ProcessFailed("proxy did not answer")

    drives(monkeypatch, {"online": lambda: "all fetched", "freeze": fail})
    with pytest.raises(PromiseBroken, match=r"^freeze: proxy did not answer$"):
        program.drive(SANDBOX, ["online", "freeze"], "")


@pytest.mark.parametrize(
    ("typed", "driven"),
    [
        ("", ["online"]),
        ("--scene freeze", ["freeze"]),
        ("--scene withdraw online withdraw --db sqlite", ["withdraw", "online"]),
        ("--scene all", [*scenes()]),
    ],
)
def test_scenes_are_driven_as_they_are_named_each_once(
    typed: str, driven: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["sandbox", "journey", *typed.split()])
    assert program.arguments().scene == driven


def test_all_scenes_end_with_the_one_that_stops_everything_and_need_every_web_site() -> None:
    assert [*scenes()][-1] == LAST
    assert set(clients_of([*scenes()])) == set(program.ALL_CLIENTS)


def test_the_next_scene_finds_everything_running_but_what_has_ended_by_itself(tmp_path: Path) -> None:
    def process(name: str, command: str) -> Process:
        return Process(name, [sys.executable, "-c", command], tmp_path, tmp_path / f"{name}.log", {})

    sandbox = Sandbox(work=tmp_path / "sandbox", banks=())
    waits = process("waits", "import signal; signal.pause()")
    ends = process("ends", "raise SystemExit('out of memory')")
    sandbox.processes |= {"waits": waits}
    try:
        sandbox.resume()
        first = waits.pid
        sandbox.resume()
        assert waits.pid == first, "what runs is left alone"
        for end in (waits.stop, waits.kill):
            end()
            assert not waits.check()
            sandbox.resume()
            assert waits.check()
        ends.start()
        sandbox.processes |= {"ends": ends}
        wait_until(lambda: not ends.is_running(), "it ends by itself")
        with pytest.raises(ProcessFailed, match=r"(?s)ends has ended by itself:.*out of memory"):
            sandbox.resume()
    finally:
        sandbox.halt()
