"""User name, password and one-time code from an authenticator app (argon2id, RFC 6238), or a recovery code instead.

What the citizen renews of it by themselves: see password_totp_set_up.py.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from flask import Blueprint
from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from authz_server.catalogue.model import Text
from authz_server.core.identifiers import CitizenId
from authz_server.identity import credentials, passwords, recovery, totp
from authz_server.identity.errors import CitizenSuspended, WrongCredentials
from authz_server.identity.methods.base import Accepted, Field, Form, FormMethod, Held
from authz_server.identity.models import CITIZEN

# No character of it can be mistaken for, or folded into, one outside; nothing else is looked up in the database.
USERNAME = re.compile(r"[a-z0-9][a-z0-9._@-]{1,63}")
RECOVERY_USED = "recovery.used"

_citizen = CITIZEN.c
_FIND = select(_citizen.id, _citizen.password_hash, _citizen.totp_secret_encrypted).where(
    _citizen.username == bindparam("typed_username")
)
_HELD = select(_citizen.created_at, _citizen.totp_last_step).where(
    _citizen.id == bindparam("of_citizen"),
    _citizen.password_hash.is_not(None),
    _citizen.totp_secret_encrypted.is_not(None),
)
# A password that was changed since it was read does not count any more.
_ENTER = (
    update(CITIZEN)
    .where(_citizen.id == bindparam("citizen"), _citizen.password_hash == bindparam("proved_hash"))
    .values(
        password_hash=func.coalesce(
            bindparam("renewed_hash", type_=_citizen.password_hash.type), _citizen.password_hash
        )
    )
    .returning(_citizen.suspended_at)
)
# The step is spent by whoever comes first, and only of the authenticator that it was compared with.
_SPEND = _ENTER.where(
    _citizen.totp_last_step < bindparam("step"), _citizen.totp_secret_encrypted == bindparam("proved_totp")
).values(totp_last_step=bindparam("step"))
use = Blueprint("password_totp", __name__)


USERNAME_FIELD = Field(
    name="username",
    label=Text(zh="使用者名稱", en="User name"),
    autocomplete="username",
    max_length=64,
    repeated=True,
)


class PasswordTotp(FormMethod):
    """Two factors: something known, something had."""

    id = "password_totp"
    name = Text(zh="密碼與一次性驗證碼", en="Password and one-time code")
    amr = ("pwd", "otp", "mfa")
    refused = Text(
        zh="使用者名稱、密碼或一次性驗證碼不正確。每個驗證碼只能用一次，用過了請等下一個。沒有發生其他事，請再試一次。",
        en="The user name, the password or the one-time code is not right. A code works once: wait for the next one if "
        "you have used it. Nothing else happened: try again.",
    )
    fields = (
        USERNAME_FIELD,
        Field(
            name="password",
            label=Text(zh="密碼", en="Password"),
            input_type="password",
            autocomplete="current-password",
            max_length=passwords.MAX_LENGTH,
        ),
        Field(
            name="one_time_code",
            label=Text(zh="一次性驗證碼", en="One-time code"),
            hint=Text(
                zh="驗證器應用程式顯示的 6 位數字；沒有的話，用一組復原碼",
                en="The 6 digits that your authenticator app shows, or one of your recovery codes",
            ),
            autocomplete="one-time-code",
            inputmode="numeric",
            max_length=31,  # as they are written and people paste them: with spaces
        ),
    )
    change = "password_totp.overview"
    blueprint = use

    def account(self, form: Form) -> str:
        """The user name as it is compared."""
        return form.get("username", "").strip().lower()

    def held(self, session: Session, citizen_id: int) -> Sequence[Held]:
        """The one pair; when it was used last is told by the code that was spent last."""
        row = session.execute(_HELD, {"of_citizen": citizen_id}).one_or_none()
        if row is None:
            return []
        used_at = datetime.fromtimestamp(row.totp_last_step * totp.STEP_S, UTC) if row.totp_last_step else None
        count = recovery.left(session, citizen_id).count
        note = Text(zh=f"還有 {count} 組復原碼", en=f"Recovery codes left: {count}")
        return [Held(credential_id=None, label="", added_at=row.created_at, last_used_at=used_at, note=note)]

    def begin(self, session: Session, form: Form, *, server_secret: bytes) -> "PasswordTotpAttempt":
        """Read the account's hash and secret, by one statement for every user name."""
        username = self.account(form)
        # What can't be a user name is asked for all the same, as the empty one that nobody has: equal work, and no
        # character reaches the database that it might choke on.
        known = username if USERNAME.fullmatch(username) else ""
        row = session.execute(_FIND, {"typed_username": known}).one_or_none()
        code = "".join(form.get("one_time_code", "").split()).replace("-", "")
        return PasswordTotpAttempt(
            password=form.get("password", ""),
            one_time_code=code,
            recovery_id=recovery.find(session, row.id if row else None, code, server_secret=server_secret),
            server_secret=server_secret,
            citizen_id=CitizenId(row.id) if row else None,
            password_hash=row.password_hash if row else None,
            totp_secret_encrypted=row.totp_secret_encrypted if row else None,
        )


@dataclass(kw_only=True)
class PasswordTotpAttempt:
    """What was typed, and what is known about the account it was typed for."""

    password: str = field(repr=False)
    one_time_code: str = field(repr=False)
    server_secret: bytes = field(repr=False)
    citizen_id: CitizenId | None
    password_hash: str | None = field(repr=False)
    totp_secret_encrypted: bytes | None = field(repr=False)
    recovery_id: int | None = None  # of the recovery code that was typed, if it is one
    proved_step: int | None = field(default=None, init=False, repr=False)
    renewed_hash: str | None = field(default=None, init=False, repr=False)
    now: datetime = field(default=datetime.max, init=False)

    def prove(self, *, now: datetime) -> None:
        """Check both factors, always both, and against something for accounts that do not exist."""
        password_right = passwords.check_password(self.password_hash, self.password)
        step = totp.matching_step(self._totp_secret(), self.one_time_code, now)
        if self.citizen_id is None:
            raise WrongCredentials("unknown_account")
        if not password_right:
            raise WrongCredentials("wrong_password")
        if self.recovery_id is None and (self.totp_secret_encrypted is None or step is None):
            raise WrongCredentials("wrong_code")
        if self.password_hash is not None and passwords.outdated(self.password_hash):
            self.renewed_hash = passwords.hash_password(self.password)
        self.proved_step, self.now = step, now

    def accept(self, session: Session) -> Accepted:
        """Spend the code's time step: it and older ones never count again (RFC 6238 section 5.2); or the recovery code.

        Raises: as `Attempt.accept`.
        """
        if self.citizen_id is None or (self.proved_step is None and self.recovery_id is None):
            raise WrongCredentials("not_proved")
        values = {"citizen": self.citizen_id, "proved_hash": self.password_hash, "renewed_hash": self.renewed_hash}
        if self.recovery_id is None:
            proved = {"step": self.proved_step, "proved_totp": self.totp_secret_encrypted}
            row = session.execute(_SPEND, values | proved).one_or_none()
        else:
            row = session.execute(_ENTER, values).one_or_none()
        if row is None:
            raise WrongCredentials("used_code")
        if row.suspended_at is not None:
            raise CitizenSuspended("suspended")
        if self.recovery_id is None:
            return Accepted(citizen_id=self.citizen_id)
        if credentials.remove(session, self.citizen_id, self.recovery_id, now=self.now) is None:
            raise WrongCredentials("used_code")
        return Accepted(citizen_id=self.citizen_id, event=RECOVERY_USED)

    def _totp_secret(self) -> str:
        if self.citizen_id is None or self.totp_secret_encrypted is None:
            return _nobodys_totp_secret()
        return totp.decrypt(self.totp_secret_encrypted, self.server_secret, self.citizen_id)


def set_password(session: Session, citizen_id: int, password_hash: str) -> None:
    """Let this password count from now on, and the old one no longer. The caller commits."""
    session.execute(update(CITIZEN).where(_citizen.id == citizen_id).values(password_hash=password_hash))


def set_totp(session: Session, citizen_id: int, encrypted: bytes, *, step: int = 0) -> None:
    """Let this authenticator count from now on, and the old one no longer. The caller commits.

    Args: encrypted: its secret, by `totp.encrypt`; step: the last one whose code is spent.
    """
    changed = {"totp_secret_encrypted": encrypted, "totp_last_step": step}
    session.execute(update(CITIZEN).where(_citizen.id == citizen_id).values(changed))


PASSWORD_TOTP = PasswordTotp()


@cache
def _nobodys_totp_secret() -> str:
    return totp.new_secret()
