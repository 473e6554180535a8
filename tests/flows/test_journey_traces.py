"""What searches for traces of data finds them in every form in which programs leave things behind."""

import base64
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_examples.sandbox import traces

NEEDLE = "CANARY0123456789abcdef"


@given(before=st.binary(max_size=40), after=st.binary(max_size=40), needle=st.text(min_size=8, max_size=30))
def test_a_needle_is_found_plain_in_hexadecimal_and_in_base64_wherever_it_stands(
    before: bytes, after: bytes, needle: str
) -> None:
    whole = before + needle.encode() + after
    for encode in (bytes, lambda text: text.hex().encode(), base64.b64encode, base64.urlsafe_b64encode):
        assert traces.in_bytes(encode(whole), needle)


@given(st.binary(max_size=200))
def test_what_is_not_there_is_not_found(content: bytes) -> None:
    assert not traces.in_bytes(content, NEEDLE)


def test_a_needle_across_the_edge_of_two_chunks_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_CHUNK", 16)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "log").write_bytes(b"x" * 10 + NEEDLE.encode() + b"y" * 50)
    (tmp_path / "clean").write_bytes(b"x" * 100)
    assert traces.in_folder(tmp_path, NEEDLE) == [tmp_path / "inner" / "log"]


def test_what_stands_only_in_the_write_ahead_log_of_sqlite_is_found(tmp_path: Path) -> None:
    path = tmp_path / "database.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE kept (value TEXT)")
    connection.execute("INSERT INTO kept VALUES (?)", [NEEDLE])
    connection.commit()
    assert traces.in_bytes(traces.sqlite_dump(path), NEEDLE)
    assert path.with_name(path.name + "-wal") in traces.in_folder(tmp_path, NEEDLE)
    connection.close()


def test_what_a_process_holds_in_memory_is_found() -> None:
    code = "import sys; held = sys.stdin.readline().strip()[::-1]; print(flush=True); sys.stdin.readline()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(NEEDLE[::-1] + "\n")
        process.stdin.flush()
        process.stdout.readline()
        assert traces.in_memory(process.pid, NEEDLE)
        assert not traces.in_memory(process.pid, NEEDLE.swapcase())
        process.stdin.close()
