"""Overload: who is let in, who waits for a turn, and who is told at once to come back.

Granian takes whatever comes and lets it wait in a line without an end, so a server that can't keep up would answer
everybody, each later than the one before, until nobody waits any more for the answer that it works on. So a worker has
more threads than requests it works on at a time: the others hold those who wait, few and briefly, or refuse.

A refusal comes before the application has seen the request: nothing was changed or spent.

Granian hands a request over when its head is there, and lets a client be as slow with its body as it likes. So bodies
are taken in before their turn, and where that takes all places, whoever has none is served still. More can't be done
here, for Granian ends no such wait: a server in front has to (docs/deploy.md).
"""

import io
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from authz_server.core import clock, identifiers
from authz_server.core.logging import event

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATIENCE_S: Final = 0.5  # what is let in is answered within a second
RETRY_AFTER_S: Final = 2  # by then, whoever waited now has had their turn
LARGEST_BODY_BYTES: Final = 64 * 1024
# Few: each would take the interpreter from those at work, and one refuses thousands per second.
SPARE_THREADS: Final = 2
# Stands in an answer made beforehand where the trace id of its request belongs.
TRACE_PLACE: Final = "00000000-0000-4000-8000-000000000000"
_TURN: Final = "mydata.turn"
_TRACE_VARIABLE: Final = "HTTP_X_FAPI_INTERACTION_ID"
_TOLD_EVERY_S: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Room:
    """How many requests one worker process works on at a time, and how many more may wait for that.

    paths, endings: how the paths begin or end that it is for. essential: those of paths that end or watch work under
    way. They need no turn: refusing them saves nothing.
    """

    at_once: int
    waiting: int
    paths: tuple[str, ...] = ("/",)
    endings: tuple[str, ...] = ()
    essential: tuple[str, ...] = ()
    largest_body_bytes: int = LARGEST_BODY_BYTES

    def is_for(self, path: str) -> bool:
        """Whether a request for this path belongs here."""
        return path.startswith(self.paths) or path.endswith(self.endings)

    @property
    def threads(self) -> int:
        """Threads of a worker: they come into being when they are needed, and end when they are idle."""
        return self.at_once + self.waiting + SPARE_THREADS


@dataclass(frozen=True)
class ReadyAnswer:
    """A 503 as a WSGI application, made when the server starts, because there is no time for it later."""

    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        trace_id = identifiers.trace_id(environ.get(_TRACE_VARIABLE))
        start_response(
            "503 SERVICE UNAVAILABLE", [(name, value.replace(TRACE_PLACE, trace_id)) for name, value in self.headers]
        )
        return [self.body.replace(TRACE_PLACE.encode(), trace_id.encode())]


class Rooms:
    """A WSGI application that leads each request to the first room that is for its path.

    So what is slow by its nature takes no turns from what has to be quick. Args: rooms: the last is for every path.
    """

    def __init__(self, application: "WSGIApplication", *, rooms: Sequence[Room], refusal: "WSGIApplication") -> None:
        doors = [(room, Admission(application, room=room, refusal=refusal)) for room in rooms]
        *self._doors, (_, self._last) = doors

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        # As Werkzeug reads it: with more slashes it would be the same page, but for another room.
        path = environ["PATH_INFO"] = "/" + environ["PATH_INFO"].lstrip("/")
        door = next((door for room, door in self._doors if room.is_for(path)), self._last)
        return door(environ, start_response)


class Admission:
    """A WSGI application that lets as many requests into another one as there is room for.

    Args: refusal: answers the others.
    """

    def __init__(self, application: "WSGIApplication", *, room: Room, refusal: "WSGIApplication") -> None:
        self._application = application
        self._refusal = refusal
        self._room = room
        self._lock = threading.Lock()
        self._free = room.at_once
        self._line: deque[threading.Lock] = deque()
        self._sending = 0
        self._refused = 0
        self._told_at = 0.0

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not self._take_in(environ):
            self._tell()
            return self._refusal(environ | {"wsgi.input": io.BytesIO()}, start_response)
        if not self._enter():
            if environ["PATH_INFO"].startswith(self._room.essential):
                return self._application(environ, start_response)
            if not self._wait():
                self._tell()
                return self._refusal(environ, start_response)
        turn = environ[_TURN] = _Turn(self._leave)
        try:
            body = self._application(environ, start_response)
        except BaseException:
            turn.end()
            raise
        if isinstance(body, list):  # nothing is left to be made
            turn.end()
            return body
        return _Admitted(body, turn)

    def _take_in(self, environ: "WSGIEnvironment") -> bool:
        """Read the body, if there is one; whether there was a place for somebody who sends one."""
        announced_bytes = int(environ.get("CONTENT_LENGTH") or 0)
        if not announced_bytes and "HTTP_TRANSFER_ENCODING" not in environ:
            return True
        with self._lock:
            if self._sending >= self._room.at_once + self._room.waiting:  # the spare threads are for the others
                return False
            self._sending += 1
        try:
            # One too many, for the application to see.
            body = environ["wsgi.input"].read(self._room.largest_body_bytes + 1)
        finally:
            with self._lock:
                self._sending -= 1
        # Granian hands over what had come when a client hung up: half a form must not pass for a whole one.
        is_whole = len(body) >= min(announced_bytes, self._room.largest_body_bytes)
        environ["wsgi.input"] = io.BytesIO(body if is_whole else b"")
        # Of too many chunks werkzeug would read as many as are allowed; at a length it sees that it is too much.
        environ["CONTENT_LENGTH"] = str(max(announced_bytes, len(body)))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        return True

    def _enter(self) -> bool:
        with self._lock:
            if self._free:
                self._free -= 1
                return True
        return False

    def _wait(self) -> bool:
        turn = threading.Lock()
        turn.acquire()
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            if len(self._line) >= self._room.waiting:
                return False
            self._line.append(turn)
        if turn.acquire(timeout=PATIENCE_S):
            return True
        with self._lock:
            if turn in self._line:
                self._line.remove(turn)
                return False
        return True  # the turn came in the very moment in which patience ended

    def _leave(self) -> None:
        with self._lock:
            if self._line:
                self._line.popleft().release()  # the turn goes on to whoever came first
            else:
                self._free += 1

    def _tell(self) -> None:
        """Say in the log that requests are refused: once a second, how many."""
        with self._lock:
            self._refused += 1
            now = clock.now().timestamp()
            if now < self._told_at + _TOLD_EVERY_S:
                return
            count, self._refused, self._told_at = self._refused, 0, now
        event("server.busy", level=logging.WARNING, count=count)


def give_up_turn(environ: "WSGIEnvironment") -> None:
    """Let another request work: all that this one has still to do is to wait. Without a turn, nothing happens."""
    if (turn := environ.get(_TURN)) is not None:
        turn.end()


class _Turn:
    """One request's place among those at work."""

    __slots__ = ("_leave",)

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave

    def end(self) -> None:
        """Hand it on; a second time does nothing."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()


class _Admitted:
    """An answer's body; its request has left when the last of it is sent, or given up."""

    __slots__ = ("_body", "_turn")

    def __init__(self, body: Iterable[bytes], turn: _Turn) -> None:
        self._body = body
        self._turn = turn

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """End the body, whatever is left of it."""
        try:
            if (close := getattr(self._body, "close", None)) is not None:
                close()
        finally:
            self._turn.end()
