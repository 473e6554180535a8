"""How both servers read their settings: a TOML file, the environment over it, and every problem told at once."""

import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LOOPBACK_NAME = "localhost"
LOOPBACK = frozenset({"127.0.0.1", LOOPBACK_NAME, "::1"})
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

_URL_CHARACTERS = re.compile(r"(?:(?![#?@])[\x21-\x7e])+")

# From what the document says, and the folder that relative paths start from.  Raises: ValueError or TypeError.
Reader = Callable[[Any, Path], Any]


class SettingsError(Exception):
    """The settings can't be used; `problems` lists every reason, a line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_file(path: Path, environ: Mapping[str, str], *, prefix: str, names: Collection[str]) -> dict[str, Any]:
    """The document in a TOML file; a key of `names` is overridden by the variable `<prefix><KEY>`.

    Raises: SettingsError.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        told = f"{path}: there is no such file; {prefix}SETTINGS names the settings file"
        raise SettingsError([told]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError([f"{path}: {error}"]) from None
    overrides = {name: environ.get(f"{prefix}{name.upper()}") for name in names}
    return document | {name: value for name, value in overrides.items() if value is not None}


def read_table(
    kind: type,
    table: Mapping[str, Any],
    readers: Mapping[str, Reader],
    problems: list[str],
    *,
    base: Path,
    at: str = "",
) -> dict[str, Any]:
    """The values of a settings class from its table; what is wrong with them is added to `problems`.

    Args: readers: for each key that the table may have; at: what precedes its keys in a problem, such as `limits.`
    """
    problems += [f"{at}{name}: is not a setting" for name in table if name not in readers]
    values: dict[str, Any] = {}
    for item in fields(kind):
        if item.name not in readers:
            continue
        if item.name not in table:
            if item.default is MISSING and item.default_factory is MISSING:
                problems.append(f"{at}{item.name}: is missing")
            continue
        try:
            values[item.name] = readers[item.name](table[item.name], base)
        except (ValueError, TypeError) as error:
            problems.append(f"{at}{item.name}: {error}")
    return values


def inner_table(kind: type, value: Any, readers: Mapping[str, Reader], *, base: Path) -> dict[str, Any]:
    """The values of a settings class from a table inside the document.  Raises: ValueError, with all its problems."""
    if not isinstance(value, Mapping):
        raise ValueError("must be a table")
    problems: list[str] = []
    values = read_table(kind, value, readers, problems, base=base)
    if problems:
        raise ValueError("; ".join(problems))
    return values


def insecure(url: str, *, sandbox: bool) -> str | None:
    """What is wrong with a URL that is not https, None if nothing is."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (sandbox and parts.hostname in LOOPBACK):
        return None
    return "must be https; http is for the sandbox on loopback only"


def text(value: Any, _base: Path) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text")
    return value


def texts(value: Any, base: Path) -> tuple[str, ...]:
    """A list of texts; in the environment, with spaces between."""
    items = value.split() if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise ValueError("must be a list of texts")
    return tuple(text(item, base) for item in items)


def url(value: Any, base: Path) -> str:
    """A base URL, which there must be only one way to write."""
    if not _URL_CHARACTERS.fullmatch(text(value, base)):  # of which urlsplit drops some without a word
        raise ValueError("must be an http(s) URL with a host and without query, fragment or user information")
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError("must be an http(s) URL with a host, and a port that there is")
    if value.endswith("/"):
        raise ValueError("must not end with a slash: it is compared byte for byte")
    return str(value)


def path(value: Any, base: Path) -> Path:
    """A path, relative to the settings file."""
    return base / text(value, base)


def bind(value: Any, base: Path) -> str:
    """Where to listen; an IPv6 host in brackets."""
    host, _, port = text(value, base).rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError("must be host:port")
    return str(value)


def whole(value: Any, _base: Path) -> int:
    """0, 1, 2, ..."""
    if isinstance(value, bool) or not isinstance(value, int | str) or int(value) < 0:
        raise ValueError("must be a whole number, 0 or more")
    return int(value)


def count(value: Any, base: Path) -> int:
    """1, 2, 3, ..."""
    if isinstance(value, bool) or whole(value, base) < 1:
        raise ValueError("must be a whole number, 1 or more")
    return int(value)


def boolean(value: Any, _base: Path) -> bool:
    """TOML's, or a word in the environment."""
    if value in (True, "true", "1"):
        return True
    if value in (False, "false", "0"):
        return False
    raise ValueError("must be true or false")


def log_level(value: Any, _base: Path) -> str:
    """One of `LOG_LEVELS`."""
    if value not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return str(value)
