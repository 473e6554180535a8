"""The synthetic citizens of the sandbox: none exists, and their national ids are valid by checksum only."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyotp

from client_examples.demo_ca.authority import Authority
from client_examples.demo_ca.card import sign

STEP_S = 30
OFFICE = "district-office-of-samples"


@dataclass
class Citizen:
    """One citizen with what they know (password) and have (the secret of their one-time codes, a card)."""

    username: str
    password: str
    totp_secret: str
    name: str
    national_id: str
    birthdate: str
    email: str
    phone: str
    card: Path | None = None  # PKCS #12, once the sandbox has issued it
    card_password: str = "sandbox"  # noqa: S105 - as public as all of this
    _last_step: int = field(default=0, repr=False)

    def options(self) -> list[str]:
        """The options of `mydata citizen add`."""
        names = ("name", "national_id", "birthdate", "email", "phone", "password", "totp_secret")
        return ["--checked-in-person", *(f"--{name.replace('_', '-')}={getattr(self, name)}" for name in names)]

    def take_card(self, authority: Path) -> Path:
        """Get a card of the authority that keeps this folder, once; the file of its certificate."""
        self.card = authority / "cards" / f"{self.username}.p12"
        if not self.card.exists():
            tail = self.national_id[-4:]
            Authority(authority).issue(self.username, self.name, id_tail=tail, password=self.card_password)
        return self.card.with_suffix(".pem")

    def sign(self, text: str) -> str:
        """A signature over a text by the citizen's card, as it is pasted into a form."""
        if self.card is None:
            raise RuntimeError(f"{self.username} has no card: the sandbox was not started")
        return sign(self.card.read_bytes(), self.card_password, text).decode()

    def one_time_code(self) -> str:
        """A code that was not used before; waits when the last minute's were all used (a code works once)."""
        while (step := max(int(time.time()) // STEP_S, self._last_step + 1)) > int(time.time()) // STEP_S + 1:
            time.sleep(1)
        self._last_step = step
        return pyotp.TOTP(self.totp_secret).at(step * STEP_S)


def citizens() -> tuple[Citizen, ...]:
    """New accounts for three people; the passwords and secrets are as public as this file, for loopback only."""
    return _people(
        ("jia", "甲", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "A123456789", "1980-02-29", "0900000001"),
        ("yi", "乙", "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU", "B223456782", "1992-07-15", "0900000002"),
        ("bing", "丙", "MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK", "C187654325", "1965-11-03", "0900000003"),
    )


def minors() -> tuple[Citizen, ...]:
    """Who is not of age, so that nobody else gets anything of theirs by their word alone."""
    return _people(("geng", "庚", "QFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK", "G123456794", "2019-03-03", "0900000007"))


def staff() -> tuple[Citizen, ...]:
    """The people of the office: its administrator, then two clerks."""
    return _people(
        ("ding", "丁", "NBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "D123456782", "1975-05-05", "0900000004"),
        ("wu", "戊", "ORSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU", "E123456783", "1985-06-06", "0900000005"),
        ("ji", "己", "PFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK", "F123456784", "1995-07-07", "0900000006"),
    )


def everybody() -> tuple[Citizen, ...]:
    """All of them."""
    return (*citizens(), *minors(), *staff())


def appointments(people: Sequence[Citizen]) -> Iterator[tuple[str, ...]]:
    """The commands of the operator by which these are what they are at the office."""
    for place, one in enumerate(people):
        yield "office", "appoint", OFFICE, one.username, "--role", "clerk" if place else "administrator"


def _people(*people: tuple[str, str, str, str, str, str]) -> tuple[Citizen, ...]:
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
        for username, mark, secret, national_id, birthdate, phone in people
    )
