"""What the server takes from the application: bodies that are there go as lists, all others piece by piece."""

from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder

from authz_server.flask_app import LeanResponse


def sent(response: LeanResponse, method: str = "GET") -> Any:
    return response(EnvironBuilder(method=method).get_environ(), lambda *_: None)  # type: ignore[arg-type]


def pieces() -> Iterator[str]:
    yield "one, "
    yield "two"


@pytest.mark.parametrize(
    ("method", "status", "body"), [("GET", 200, [b"all of it"]), ("HEAD", 200, []), ("POST", 204, []), ("GET", 304, [])]
)
def test_what_is_there_as_a_whole_is_a_list(method: str, status: int, body: list[bytes]) -> None:
    assert sent(LeanResponse("all of it", status=status), method) == body


def test_what_is_made_piece_by_piece_is_none() -> None:
    answer = sent(LeanResponse(pieces()))
    assert not isinstance(answer, list)
    assert list(answer) == [b"one, ", b"two"]


def test_what_is_to_be_done_at_the_end_of_a_whole_is_done() -> None:
    done: list[bool] = []
    response = LeanResponse("all of it")
    response.call_on_close(lambda: done.append(True))
    assert sent(response) == [b"all of it"]
    assert done == [True]
