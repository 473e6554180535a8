"""The synthetic citizens of the sandbox: none exists, and their national ids are valid by checksum only."""

import time
from dataclasses import dataclass, field

import pyotp

STEP_S = 30


@dataclass
class Citizen:
    """One citizen with what they know (password) and have (the secret of their one-time codes)."""

    username: str
    password: str
    totp_secret: str
    name: str
    national_id: str
    birthdate: str
    email: str
    phone: str
    _last_step: int = field(default=0, repr=False)

    def options(self) -> list[str]:
        """The options of `mydata citizen add`."""
        names = ("name", "national_id", "birthdate", "email", "phone", "password", "totp_secret")
        return [f"--{name.replace('_', '-')}={getattr(self, name)}" for name in names]

    def one_time_code(self) -> str:
        """A code that was not used before; waits when the last minute's were all used (a code works once)."""
        while (step := max(int(time.time()) // STEP_S, self._last_step + 1)) > int(time.time()) // STEP_S + 1:
            time.sleep(1)
        self._last_step = step
        return pyotp.TOTP(self.totp_secret).at(step * STEP_S)


def citizens() -> tuple[Citizen, ...]:
    """New accounts for three people; the passwords and secrets are as public as this file, for loopback only."""
    return tuple(
        Citizen(
            username=username,
            password=f"sandbox-{username}-only",
            totp_secret=secret,
            name=f"測試市民{mark}",
            national_id=national_id,
            birthdate=birthdate,
            email=f"{username}@example.org",
            phone=phone,
        )
        for username, mark, secret, national_id, birthdate, phone in (
            ("jia", "甲", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "A123456789", "1980-02-29", "0900000001"),
            ("yi", "乙", "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU", "B223456782", "1992-07-15", "0900000002"),
            ("bing", "丙", "MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK", "C187654325", "1965-11-03", "0900000003"),
        )
    )
