"""TOML files that people write: read whole, or told with the line at which they can't be."""

import re
import tomllib
from pathlib import Path
from typing import Any

from authz_server.core import text_file

_LINE = re.compile(r"\(at line (\d+),")


class NotToml(ValueError):
    """The file is no TOML; the text says why, to be put after its name and `line`."""

    def __init__(self, line: int, told: str) -> None:
        super().__init__(told)
        self.line = line


def read(path: Path) -> tuple[dict[str, Any], str]:
    """The document, and its text.  Raises: NotToml, OSError."""
    try:
        text = text_file.read(path)
    except text_file.NotText as error:
        raise NotToml(1, str(error)) from None
    try:
        return tomllib.loads(text), text
    except RecursionError:
        raise NotToml(1, "is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        line = int(found[1]) if found else text.count("\n") + 1  # without one, the file ended too soon
        raise NotToml(line, f"is not TOML: {error}") from None
    except ValueError as error:
        raise NotToml(1, f"has a number that can't be read: {error}") from None
