"""Looks for traces of data where none may be: files, logs, databases, memory, in the forms that programs leave."""

import base64
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

_CHUNK = 4 * 1024 * 1024


def forms_of(needle: str) -> tuple[bytes, ...]:
    """The needle as bytes, as hexadecimal digits, and as it looks inside a longer text in base64 (at each offset)."""
    plain = needle.encode()
    encoded = []
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + plain)
        # The first and last characters also depend on the neighbours.
        encoded.append(whole[(offset * 8 + 5) // 6 : len(whole) - 4])
    url_safe = [text.replace(b"+", b"-").replace(b"/", b"_") for text in encoded]
    return tuple(dict.fromkeys([plain, plain.hex().encode(), *encoded, *url_safe]))


def in_folder(folder: Path, needle: str) -> list[Path]:
    """Files below `folder` that hold the needle in any form. Files that vanish meanwhile are no traces."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and _holds(path, forms_of(needle))]


def in_bytes(content: bytes, needle: str) -> bool:
    """Whether the content holds the needle in any form."""
    return any(form in content for form in forms_of(needle))


def sqlite_dump(path: Path) -> bytes:
    """Everything in a SQLite database as SQL text, what stands only in its write-ahead log included."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return "\n".join(connection.iterdump()).encode()
    finally:
        connection.close()


def in_memory(group: int, needle: str) -> bool:
    """Whether a process of this group holds the needle in any form, in memory that it may write to. Linux alone.

    Whoever looks has to be their parent, or allowed to trace them (ptrace(2)).
    """
    forms = forms_of(needle)
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _group_of(path) == group]
    return any(_in_chunks(_memory(pid), forms) for pid in pids)


def _group_of(process: Path) -> int | None:
    try:
        return os.getpgid(int(process.name))
    except ProcessLookupError:
        return None


def _memory(pid: int) -> Iterator[bytes]:
    """What is mapped for writing (proc_pid_maps(5)), region by region."""
    regions = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for addresses, rights, *_ in regions:
            start, end = (int(address, 16) for address in addresses.split("-"))
            for position in range(start, end, _CHUNK) if rights.startswith("rw") else ():
                try:
                    yield os.pread(memory.fileno(), min(_CHUNK, end - position), position)
                except OSError:  # not there any more, or a device's
                    break


def _holds(path: Path, forms: tuple[bytes, ...]) -> bool:
    return _in_chunks(_chunks(path), forms)


def _in_chunks(chunks: Iterable[bytes], forms: tuple[bytes, ...]) -> bool:
    longest = max(map(len, forms))
    end_of_last = b""
    for chunk in chunks:
        window = end_of_last + chunk
        if any(form in window for form in forms):
            return True
        end_of_last = window[-longest:]
    return False


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except FileNotFoundError:
        return
