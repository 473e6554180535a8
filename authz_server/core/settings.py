"""How both servers read their settings: a TOML file, the environment over it, and every problem told at once."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from authz_server.core import toml_file
from authz_server.core.errors import DomainError

LOOPBACK_NAME = "localhost"
LOOPBACK = frozenset({"127.0.0.1", LOOPBACK_NAME, "::1"})
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
DAY_S = 24 * 60 * 60

_URL_CHARACTERS = re.compile(r"(?:(?![#?@])[\x21-\x7e])+")

# Names of containers may have an underscore.
_HOST = re.compile(r"[0-9A-Za-z]([0-9A-Za-z._-]*[0-9A-Za-z])?\.?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DIGITS = re.compile(r"[0-9]{1,18}")
_PEER = re.compile(r"(?:[0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_HIGHEST_PORT = 65535
T = TypeVar("T")

# From what the document says, and the folder that relative paths start from.  Raises: ValueError or TypeError.
Reader = Callable[[Any, Path], Any]


class SettingsError(Exception):
    """The settings can't be used; `problems` lists every reason, a line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class TableError(ValueError):
    """What is wrong inside of one setting, a line each: `<key>: <what>`, to which the setting's own name is put."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@contextmanager
def of(name: str) -> Iterator[None]:
    """Let what is wrong with the file that a setting names be told with the setting's name.  Raises: SettingsError."""
    try:
        yield
    except (DomainError, OSError, ValueError) as error:
        raise SettingsError([f"{name}: {error}"]) from None


def read_file(path: Path, environ: Mapping[str, str], *, prefix: str, names: Collection[str]) -> dict[str, Any]:
    """The document in a TOML file; a key of `names` is overridden by the variable `<prefix><KEY>`.

    Raises: SettingsError.
    """
    try:
        document, _ = toml_file.read(path)
    except FileNotFoundError:
        told = f"{path}: there is no such file; {prefix}SETTINGS names the settings file"
        raise SettingsError([told]) from None
    except OSError as error:
        raise SettingsError([f"{path}: {error.strerror}"]) from None
    except toml_file.NotToml as error:
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
) -> dict[str, Any]:
    """The values of a settings class from its table; what is wrong with them is added to `problems`.

    Args: readers: for each key that the table may have.
    """
    problems += [f"{name}: is not a setting" for name in table if name not in readers]
    values: dict[str, Any] = {}
    for item in fields(kind):
        if item.name not in readers:
            continue
        if item.name not in table:
            if item.default is MISSING and item.default_factory is MISSING:
                problems.append(f"{item.name}: is missing")
            continue
        try:
            values[item.name] = readers[item.name](table[item.name], base)
        except (ValueError, TypeError) as error:
            problems += _named(item.name, error)
    return values


def _named(name: str, error: Exception) -> list[str]:
    if isinstance(error, TableError):
        return [f"{name}.{problem}" for problem in error.problems]
    return [f"{name}: {error}"]


def whole_document(
    kind: type[T],
    document: Mapping[str, Any],
    readers: Mapping[str, Reader],
    contradictions: Callable[[T], list[str]],
    *,
    base: Path,
) -> T:
    """The settings object that a document describes.  Raises: SettingsError, with every problem that was found.

    Args: contradictions: what of it can't stand together, asked once each setting is well-formed.
    """
    problems: list[str] = []
    values = read_table(kind, document, readers, problems, base=base)
    if not problems:
        parsed = kind(**values)
        problems = contradictions(parsed)
        if not problems:
            return parsed
    raise SettingsError(problems)


def table(value: Any) -> Mapping[str, Any]:
    """A table of the document as it stands.  Raises: ValueError."""
    if not isinstance(value, Mapping):
        raise ValueError("must be a table")
    return value


def inner_table(kind: type[T], value: Any, readers: Mapping[str, Reader], *, base: Path) -> T:
    """The settings object that a table inside the document describes.  Raises: ValueError, with all its problems."""
    problems: list[str] = []
    values = read_table(kind, table(value), readers, problems, base=base)
    if problems:
        raise TableError(problems)
    return kind(**values)


def inner_tables(kind: type[T], value: Any, readers: Mapping[str, Reader], *, base: Path) -> dict[str, T]:
    """A settings object for each table inside `value`, by its name.  Raises: ValueError, with all their problems."""
    return inner_values(value, lambda inner, base: inner_table(kind, inner, readers, base=base), base=base)


def inner_values(value: Any, reader: Reader, *, base: Path) -> dict[str, Any]:
    """The values in a table whose keys are names.  Raises: ValueError, with all its problems."""
    problems: list[str] = []
    found = {}
    for name, inner in table(value).items():
        try:
            found[text(name, base)] = reader(inner, base)
        except ValueError as error:
            problems += _named(name, error)
    if problems:
        raise TableError(problems)
    return found


def insecure(urls: Mapping[str, str], *, sandbox: bool) -> list[str]:
    """What is wrong with those of the URLs, each by its setting, that are not https."""
    parts = {name: urlsplit(url) for name, url in urls.items()}
    return [
        f"{name}: must be https; http is for the sandbox on loopback only"
        for name, url in parts.items()
        if url.scheme != "https" and not (sandbox and url.hostname in LOOPBACK)
    ]


def text(value: Any, _base: Path) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip() or _CONTROL.search(value):
        raise ValueError("must be a text")
    return value


def texts(value: Any, base: Path) -> tuple[str, ...]:
    """A list of texts; in the environment, with spaces between."""
    items = value.split() if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise ValueError("must be a list of texts")
    return tuple(text(item, base) for item in items)


def peers(value: Any, base: Path) -> tuple[str, ...]:
    """A list of `host:port`, an IPv6 host in brackets; in lower case, as hosts of URLs are compared."""
    found = texts(value, base)
    ports = [match and int(match[1]) for match in map(_PEER.fullmatch, found)]
    if not all(port and port <= _HIGHEST_PORT for port in ports):
        raise ValueError("must be a list of host:port")
    return tuple(peer.lower() for peer in found)


def url(value: Any, base: Path) -> str:
    """A base URL, which there must be only one way to write."""
    if not _URL_CHARACTERS.fullmatch(text(value, base)):  # of which urlsplit drops some without a word
        raise ValueError("must be an http(s) URL with a host and without query, fragment or user information")
    try:
        parts = urlsplit(value)
        there_is = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        there_is = False
    if not there_is or parts.netloc.endswith(":"):
        raise ValueError("must be an http(s) URL with a host, and a port that there is")
    if value.endswith("/"):
        raise ValueError("must not end with a slash: it is compared byte for byte")
    return str(value)


def origin(value: Any, base: Path) -> str:
    """A base URL of a server that has its host and port to itself."""
    if urlsplit(url(value, base)).path:
        raise ValueError("must be an origin, without a path")
    return str(value)


def origin_of(url: str) -> str:
    """The origin of a base URL as browsers write it: small letters, no usual port (RFC 6454 section 6.2)."""
    parts = urlsplit(url.lower())
    usual = parts.port == {"https": 443, "http": 80}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.rpartition(':')[0] if usual else parts.netloc}"


def path(value: Any, base: Path) -> Path:
    """A path, relative to the settings file."""
    return base / text(value, base)


def host(value: Any, base: Path) -> str:
    """The name or address of a host."""
    try:
        ip_address(text(value, base))
    except ValueError:
        if not _HOST.fullmatch(text(value, base)):
            raise ValueError("must be the name or address of a host, without port and brackets") from None
    return str(value)


def bind(value: Any, base: Path) -> str:
    """Where to listen: an address of this host, or all of them (0.0.0.0, [::]); an IPv6 one in brackets."""
    address, _, number = text(value, base).rpartition(":")
    bare = address.removeprefix("[").removesuffix("]")
    try:
        there_is = address == (bare if ip_address(bare).version == 4 else f"[{bare}]") and "%" not in bare
    except ValueError:
        there_is = False
    if not there_is or not _DIGITS.fullmatch(number) or not 0 < int(number) <= _HIGHEST_PORT:
        raise ValueError(f"must be address:port, an IPv6 address in brackets, a port 1 to {_HIGHEST_PORT}")
    return str(value)


def number(least: int, most: int, why: str = "") -> Reader:
    """The reader of a whole number, of TOML or the environment, within these bounds.  Args: why: of the bounds."""
    problem = f"must be a whole number, {least} to {most}" + (f": {why}" if why else "")

    def read(value: Any, _base: Path) -> int:
        found = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
            raise ValueError(problem)
        return found

    return read


count = number(1, 4096)  # of processes, threads, connections, requests that wait
timeout = number(1, 3600)  # in seconds
port = number(1, _HIGHEST_PORT)


def boolean(value: Any, _base: Path) -> bool:
    """TOML's, or a word in the environment."""
    if isinstance(value, bool):
        return value
    if value not in ("true", "1", "false", "0"):
        raise ValueError("must be true or false")
    return value in ("true", "1")


def log_level(value: Any, _base: Path) -> str:
    """One of `LOG_LEVELS`."""
    if value not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return str(value)
