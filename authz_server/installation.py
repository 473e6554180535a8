"""Which secret file belongs to this database: with another one, nothing that was derived from it would fit any more.

Authenticators could not be read, and every client would know every citizen by a new pseudonym, without an error to be
seen. So whoever starts with a secret first leaves its mark, and who comes with another one is told.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Engine, String, delete, false, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from authz_server.core.secrets import derive, equal
from authz_server.core.settings import SettingsError
from authz_server.database import Base, insert_if_absent

ONE: Final = 1
SECRET_BYTES: Final = 32
SOON_MS: Final = 3000  # whoever watches over a server gives up after some seconds


class Installation(Base):
    """One row: a digest that only the secret can make, and that tells nothing of it."""

    __tablename__ = "installation"

    secret_check: Mapped[str] = mapped_column(String(43), repr=False)
    id: Mapped[int] = mapped_column(primary_key=True, default=ONE)


def read_secret(path: Path) -> bytes:
    """The 32 bytes from which form tokens, subjects, nonces and the keys of stored secrets derive.

    Raises: SettingsError.
    """
    try:
        secret = path.read_bytes()
    except OSError as error:
        raise SettingsError([f"secret_file: {error}"]) from None
    if len(secret) != SECRET_BYTES:
        raise SettingsError([f"secret_file: {path} must hold {SECRET_BYTES} bytes"])
    return secret


def own_secret(session: Session, path: Path) -> bytes:
    """The secret in the file, found to be that of the database. The caller commits.  Raises: SettingsError."""
    secret = read_secret(path)
    check_secret(session, secret)
    return secret


def check_secret(session: Session, secret: bytes) -> None:
    """Find the secret to be the one of this database; the first one is. The caller commits.

    Of several that are first in one moment, one is. Whoever comes while it is replaced waits for that.
    Raises: SettingsError.
    """
    mark = derive(secret, "installation")
    first = insert_if_absent(session.get_bind().dialect.name, Installation).values(id=ONE, secret_check=mark)
    session.execute(first)
    known = session.execute(select(Installation.secret_check).with_for_update()).scalar_one()
    if not equal(known, mark):
        raise SettingsError(
            [
                "secret_file: this database was used with another one; copy it from the other hosts, from the backup "
                "or, if `mydata rotate-secret` broke off, from .<name>.new beside it"
            ]
        )


def set_secret(session: Session, secret: bytes) -> None:
    """Let this be the secret of the database from now on. The caller commits."""
    session.execute(update(Installation).values(secret_check=derive(secret, "installation")))


def change_nothing(engine: Engine) -> None:
    """Find out whether the database takes changes, soon, whoever holds a lock.  Raises: those of `UNREACHABLE`."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {SOON_MS}")
        else:
            connection.detach()  # nobody else is to give up as soon
            connection.connection.cursor().execute(f"PRAGMA busy_timeout = {SOON_MS}")
        connection.execute(delete(Installation).where(false()))
