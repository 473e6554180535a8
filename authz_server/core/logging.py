"""One JSON line per event on stderr: a static name and listed identifiers, never a value, a name or a token.

The list is short on purpose. An identifier that is not on it raises in tests and development; in production it is left
out, and the line says which one, because a log line must not take a request down.
"""

import json
import logging
import os
import re
import select
import stat
import sys
import traceback
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

IDENTIFIERS = frozenset(
    {
        # who and what, by our own names
        "agency_id", "citizen_id", "client_id", "consent_id", "dataset_id", "key_id", "request_id", "transaction_id",
        # how it went
        "attempt", "bytes", "count", "detail", "duration_ms", "error", "event_id", "grant_type", "outcome", "reason",
        "retry_after_s", "status",
        # where
        "bind", "connector", "endpoint", "host", "kind", "method", "process_id", "version",
    }
)  # fmt: skip
_LOGGER = logging.getLogger("mydata")
# Authlib logs raw tokens at DEBUG, urllib3 whole URLs.
_NEVER_DEBUG = ("authlib", "urllib3")
# A secret of ours, or anything that looks like a JWS or JWE.
_SECRET = re.compile(r"\bmd[a-z]_[\w-]{20,}|\beyJ[\w.-]{10,}|urn:ietf:params:oauth:request_uri:\S+")
_MAX_CHARS = 300
_PIECE_BYTES = select.PIPE_BUF  # what a pipe or socket takes at once, if it takes anything
_PATIENCE_MS = 200  # of a line for who reads the log; of the lines that follow one that was lost, none

Identifier = str | int | float | bool | None
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

_trace_id: ContextVar[str | None] = ContextVar("trace_id", default=None)
_strict = True


def configure(level: str = "INFO", *, strict: bool = False) -> None:
    """Send every log line of the process to stderr as JSON, from `level` on.

    Args: strict: raise on an identifier that is not listed, as it is before this call.
    """
    global _strict
    _strict = strict
    handler = _Unhurried(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _NEVER_DEBUG:
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))


def set_trace_id(trace_id: str | None) -> None:
    """Let every line of this request carry its `X-FAPI-Interaction-ID`."""
    _trace_id.set(trace_id)


def current_trace_id() -> str | None:
    """Return what `set_trace_id` said for this request."""
    return _trace_id.get()


def event(name: str, *, level: int = logging.INFO, **identifiers: Identifier) -> None:
    """Write one line: `name` is a constant such as `token.leased`, the rest are listed identifiers.

    Raises: ValueError on an identifier that is not listed, unless configured for production.
    """
    unlisted = identifiers.keys() - IDENTIFIERS
    if unlisted and _strict:
        raise ValueError(f"not identifiers that may be logged: {sorted(unlisted)}")
    if not _LOGGER.isEnabledFor(level):
        return
    kept = {key: value for key, value in identifiers.items() if key not in unlisted and value is not None}
    if unlisted:
        kept["dropped"] = " ".join(sorted(unlisted))
    _LOGGER.log(level, name, extra={"identifiers": kept})


class _Unhurried(logging.StreamHandler[TextIO]):
    """Lines that nobody takes are lost, for whoever writes them has requests to answer. The next one says how many.

    A pipe that nobody reads would else let each thread that logs wait for ever, and all the world can have us log.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lost = 0
        self._torn = False  # the last line has no end
        self._own = _opened_anew(stream)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            told = [self.format(record)]
        except Exception:  # a library's, whose arguments are not those that it names: no request goes down for that
            self._lost += 1
            return
        if self._lost:
            lost = logging.LogRecord(_LOGGER.name, logging.WARNING, "", 0, "log.lost", None, None)
            lost.identifiers = {"count": self._lost}
            told.insert(0, self.format(lost))
        if self._torn:
            told.insert(0, "")
        self._lost = 0 if self._is_taken("".join(f"{line}\n" for line in told)) else self._lost + 1

    def _is_taken(self, text: str) -> bool:
        """Whether all of it was."""
        octets, patience_ms = text.encode(errors="backslashreplace"), 0 if self._lost else _PATIENCE_MS
        try:
            target = self.stream.fileno() if self._own is None else self._own
            room = select.poll()
            room.register(target, select.POLLOUT)
            while octets:
                if not room.poll(patience_ms):
                    return False
                octets = octets[os.write(target, octets[:_PIECE_BYTES]) :]  # a disk takes a part, and then no more
                self._torn = bool(octets)
        except (OSError, ValueError, AttributeError):  # it is closed, its reader or disk is gone, or there is none
            return False
        return True


def _opened_anew(stream: TextIO) -> int | None:
    """A descriptor of our own for a pipe, which never waits, or None. It is as long there as the process.

    Room that poll has seen, another process may have taken before we write. Not to wait is for all to whom the pipe was
    handed, unless it was opened anew.
    """
    with suppress(OSError, ValueError, AttributeError):
        if stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode):
            return os.open(f"/proc/self/fd/{stream.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
    return None


class JsonLines(logging.Formatter):
    """One JSON object per record; other libraries' records too, their message cut and cleared of secrets."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Identifier | list[str]] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": _clean(record.getMessage()),
        }
        if record.name != _LOGGER.name:
            line["logger"] = record.name
        if trace_id := _trace_id.get():
            line["trace_id"] = trace_id
        for key, value in getattr(record, "identifiers", {}).items():
            line[key] = _clean(value) if isinstance(value, str) else value
        if record.exc_info:
            line |= _exception(record.exc_info)
        return json.dumps(line, ensure_ascii=True, separators=(",", ":"))


def _exception(exc_info: _ExcInfo) -> dict[str, Identifier | list[str]]:
    kind, _, trace = exc_info
    if kind is None:
        return {}
    # Type and places only: a message may quote what was being handled (SQLAlchemy's quotes the parameters).
    frames = [f"{frame.filename}:{frame.lineno}:{frame.name}" for frame in traceback.extract_tb(trace)]
    return {"exception": f"{kind.__module__}.{kind.__qualname__}", "frames": frames}


def _clean(text: str) -> str:
    return _SECRET.sub("[secret]", text[:_MAX_CHARS])
