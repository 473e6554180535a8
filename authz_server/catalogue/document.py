"""Reads a document (catalogue file, registration) so that every problem is listed, not only the first.

A `Table` notes what is wrong under its path and hands out a placeholder of the right type; whoever reads a whole
document looks at the problems before using anything of it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from authz_server.catalogue.model import Text

T = TypeVar("T")

Path = tuple[str | int, ...]
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ALL = re.compile(r".*", re.DOTALL)
# Control characters, bidirectional overrides, zero-width characters: they make a text read as something it is not.
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


class Problem(NamedTuple):
    """One thing that is wrong, and where."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.message}" if self.path else self.message


def dotted(path: Path) -> str:
    """The path the way TOML writes it: `purposes.loan.datasets."fia.income".fields_required[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            key = part if _BARE_KEY.fullmatch(part) else f'"{part}"'
            text += f".{key}" if text else key
    return text


class Table:
    """One table of a document. Each reader notes what is missing, wrong or too much."""

    def __init__(self, value: object, problems: list[Problem], path: Path = ()) -> None:
        self.path = path
        self._problems = problems
        self._read: set[str] = set()
        self._values: Mapping[str, Any] = {}
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            self._values = value
        else:
            self.note("must be a table")
            self._problems = []  # that is all there is to say about it

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def note(self, message: str, *more: str | int) -> None:
        """Note a problem with this table, or with what `more` leads to inside it."""
        self._problems.append(Problem((*self.path, *more), message))

    def raw(self, key: str) -> Any:
        """The value as it stands, None if there is none; the caller checks it."""
        self._read.add(key)
        return self._values.get(key)

    def text(
        self,
        key: str,
        *,
        pattern: re.Pattern[str] = _ALL,
        shape: str = "",
        longest: int = 200,
        default: str | None = None,
    ) -> str:
        """A text for people or machines; `shape` says in words what `pattern` wants."""
        value = self._get(key, str, "a text", default)
        if value is None:
            return ""
        if not value.strip() or len(value) > longest or _INVISIBLE.search(value):
            self.note(f"must be a text of 1 to {longest} visible characters", key)
        elif not pattern.fullmatch(value):
            self.note(f"must be {shape}", key)
        return value

    def one_of(self, key: str, choices: Sequence[str], *, default: str | None = None) -> str:
        value = self._get(key, str, "a text", default)
        if value is not None and value not in choices:
            self.note(f"must be one of {', '.join(choices)}", key)
        return value or ""

    def whole(self, key: str, lowest: int, highest: int, *, default: int | None = None) -> int:
        value = self._get(key, int, "a whole number", default)
        if value is not None and not lowest <= value <= highest:
            self.note(f"must be {lowest} to {highest}", key)
        return lowest if value is None else value

    def boolean(self, key: str, *, default: bool | None = None) -> bool:
        return bool(self._get(key, bool, "true or false", default))

    def localized(self, key: str, *, longest: int = 200) -> Text:
        """The text under `key`, a table with `zh` and `en`."""
        table = self.table(key)
        return table.as_text(longest=longest) if table else Text(zh="", en="")

    def as_text(self, *, longest: int = 200) -> Text:
        """This table itself as a text: `zh` and `en`, neither empty, and nothing else."""
        text = Text(zh=self.text("zh", longest=longest), en=self.text("en", longest=longest))
        self.done()
        return text

    def texts(self, key: str, *, most: int, longest: int = 200) -> tuple[str, ...]:
        """A list of different texts; an absent one is empty."""
        values = self._get(key, list, "a list of texts", [])
        if values is None:
            return ()
        if len(values) > most:
            self.note(f"must have at most {most} entries", key)
            return ()
        good: list[str] = []
        for index, value in enumerate(values):
            if not isinstance(value, str) or not 0 < len(value) <= longest:
                self.note(f"must be a text of 1 to {longest} characters", key, index)
            elif value in good:
                self.note("is there twice", key, index)
            else:
                good.append(value)
        return tuple(good)

    def table(self, key: str, *, optional: bool = False) -> "Table | None":
        """The table under `key`; None, and a problem unless it is optional, if there is none."""
        value = self._get(key, dict, "a table", {} if optional else None)
        return None if value is None else Table(value, self._problems, (*self.path, key))

    def tables(self, key: str) -> list["Table"]:
        """A list of tables; an absent one is empty."""
        values = self._get(key, list, "a list of tables", [])
        return [Table(value, self._problems, (*self.path, key, index)) for index, value in enumerate(values or [])]

    def items(self) -> Iterator[tuple[str, "Table"]]:
        """The tables under all keys, for a table whose keys are names."""
        for key, value in self._values.items():
            self._read.add(key)
            yield key, Table(value, self._problems, (*self.path, key))

    def done(self) -> None:
        """Call last: what nobody read is not known, and a misspelt key must not be taken for an absent one."""
        for key in self._values:
            if key not in self._read:
                self.note("is not known here", key)

    def _get(self, key: str, kind: type[T], shape: str, default: T | None) -> T | None:
        self._read.add(key)
        if key not in self._values:
            if default is None:
                self.note("is missing", key)
            return default
        value = self._values[key]
        # A bool is an int to Python only.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.note(f"must be {shape}", key)
            return None
        return value
