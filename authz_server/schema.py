"""The tables: brought to this release, or found to be of another one.

Alembic is loaded by whoever changes them. To look at them, as each server does when it starts, takes one statement; to
load Alembic takes longer than that.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy import Connection, Engine, column, func, inspect, select, table
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, OperationalError

from authz_server.core.settings import SettingsError
from authz_server.database import new_engine, reading
from authz_server.prepared import SHARED

MIGRATIONS: Final = Path(__file__).resolve().parent.parent / "migrations"
UNDONE: Final = "undone: none of these steps counts, the tables are as they were"
_PROCESS: Final = select(func.pg_backend_pid())
_VERSION: Final = table("alembic_version", column("version_num"))


def migrate(url: str, *, back_to: str | None = None, tell: Callable[[str], object] = lambda _: None) -> None:
    """Bring the tables of the database at this URL to the newest version, or back to an older one.

    Args: tell: is given a line for each step once that is done; they count together, when all are, or it is told so.
    Raises: SettingsError, if Alembic knows no such version: neither the one to go back to, nor the one that is there.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    done: list[str] = []

    def step(line: str) -> None:
        done.append(line)
        tell(line)

    settings.attributes |= {"url": url, "tell": step}
    _make_file(url)
    try:
        if back_to is None:
            command.upgrade(settings, "head")
        else:
            command.downgrade(settings, back_to)
    except CommandError as error:
        told = "database_url: its tables are of another release, or a newer one" if back_to is None else "--back-to"
        raise SettingsError([f"{told}: {error}"]) from None
    except BaseException:
        if done:
            tell(UNDONE)
        raise


def _make_file(url: str) -> None:
    """Make an empty file for SQLite, if there is none: nothing else does."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        with suppress(OSError):  # told when it is looked for
            Path(parsed.database).touch(0o644)  # as SQLite would, however lax the umask


def check(url: str) -> None:
    """Raises: SettingsError if the tables are not those of this release, or nobody can tell for want of rights.

    A database that can't be reached is no reason not to start: requests are answered 503 until it is there.
    """
    engine = new_engine(url)
    try:
        with reading(engine).connect() as connection:  # else SQLite's one writer would have to be waited for
            check_version(connection)
        shared = engine.dialect.name == "postgresql" and _is_shared(engine)
    except DatabaseError as error:
        if isinstance(error.orig, psycopg.OperationalError):
            return
        raise SettingsError([first_line(error)]) from None  # also a file of SQLite: it comes from nowhere by itself
    finally:
        engine.dispose()
    if shared:
        raise SettingsError([f"database_url: {SHARED}"])


def check_version(connection: Connection) -> None:
    """Raises: SettingsError if the tables are not those of this release; those of `UNREACHABLE`."""
    found = _versions(connection)
    if len(found) > 1:
        told = f"alembic_version has {len(found)} rows, and only one can be true: {', '.join(found)}"
        raise SettingsError([f"database_url: {told}"])
    wanted = newest()
    if not found:
        told = f"no tables, or the role has no USAGE on their schema; wanted {wanted}: mydata migrate"
        raise SettingsError([f"database_url: {told}"])
    if found[0] != wanted:
        raise SettingsError([f"database_url: tables of version {found[0]}, wanted {wanted}: mydata migrate"])


def _is_shared(engine: Engine) -> bool:
    """Whether something between gives each transaction a session anew, in which others have prepared statements.

    Ours go by a number: another one could be run that happens to take as many parameters.
    """
    try:
        with reading(engine).connect() as one, reading(engine).connect() as other:
            first, second, again = (connection.scalar(_PROCESS) for connection in (one, other, one))
    except OperationalError:  # there is no second one to be had now; what is known of the tables counts all the same
        return False
    return first == second or again != first


def _versions(connection: Connection) -> Sequence[str]:
    if not inspect(connection).has_table(_VERSION.name):
        return []
    return connection.scalars(select(_VERSION.c.version_num).order_by(_VERSION.c.version_num)).all()


def newest() -> str:
    """The version of this release: each migration's file begins with its own."""
    return max(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def first_line(error: DatabaseError) -> str:
    """What the database says, with the setting that names it."""
    return f"database_url: {str(error.orig).splitlines()[0]}"
