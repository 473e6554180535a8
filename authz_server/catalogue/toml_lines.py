"""Where in a TOML file a key stands; `tomllib` keeps no positions.

Only headers and the keys at the start of a line are looked at. That is all a person's eye needs: a key inside an
inline table or a list is found by the line of the key that it belongs to.
"""

import re
from collections.abc import Mapping

from authz_server.catalogue.document import Path

_NAME = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
_DOTTED = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")
# What can open or close something in a value; strings of one line and comments are passed over as a whole.
_TOKEN = re.compile(r""""{3}|'{3}|"(?:[^"\\]|\\.)*"|'[^']*'|#.*|[\[{\]}]""")


def line_of(path: Path, lines: Mapping[Path, int]) -> int:
    """The line of what the path leads to, or of the nearest thing around it that has a line of its own."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def line_numbers(text: str) -> Mapping[Path, int]:
    """Map the paths of a well-formed TOML text to their line numbers, from 1."""
    lines: dict[Path, int] = {}
    arrays: dict[Path, int] = {}  # arrays of tables: the index of the last element seen
    current: Path = ()
    open_until, depth = "", 0  # inside a string of several lines; inside brackets
    for number, line in enumerate(text.split("\n"), 1):
        if not open_until and not depth:
            if header := _HEADER.match(line):
                current = _enter(_split(header[2]), arrays, is_array=header[1] == "[[")
                lines.setdefault(current, number)
                continue
            if key := _KEY.match(line):
                lines.setdefault((*current, *_split(key[1])), number)
                line = line[key.end() :]
        open_until, depth = _scan(line, open_until, depth)
    return lines


def _enter(names: tuple[str, ...], arrays: dict[Path, int], *, is_array: bool) -> Path:
    """The full path of a header: `[a.b]` below `[[a]]` is inside the last element of `a`."""
    path: Path = ()
    for position, name in enumerate(names, 1):
        path = (*path, name)
        if position == len(names) and is_array:
            arrays[path] = arrays.get(path, -1) + 1
        if path in arrays:
            path = (*path, arrays[path])
    return path


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(name[1:-1] if name[0] in "\"'" else name for name in re.findall(_NAME, dotted))


def _scan(line: str, open_until: str, depth: int) -> tuple[str, int]:
    """What is still open after this line."""
    position = 0
    while True:
        if open_until:
            end = line.find(open_until, position)
            if end < 0:
                return open_until, depth
            position, open_until = end + 3, ""
        token = _TOKEN.search(line, position)
        if token is None:
            return "", depth
        position = token.end()
        if token[0] in ('"""', "'''"):
            open_until = token[0]
        elif token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
