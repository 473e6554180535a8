"""What the methods have in common that ask a registry about what somebody typed.

The account is that of the national id; nothing has to be set up. The registry is asked whether or not there is such an
account, so that neither the answer nor its time tells them apart, and nothing of what was typed is kept.
"""

import unicodedata
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from authz_server.catalogue.model import Text
from authz_server.config import Settings
from authz_server.core import clock
from authz_server.core.identifiers import CitizenId
from authz_server.core.secrets import derive
from authz_server.extensions import services
from authz_server.identity import entry, lockout, national_id
from authz_server.identity.errors import CitizenSuspended, WrongCredentials
from authz_server.identity.lockout import Door
from authz_server.identity.methods.base import Accepted, Field, Form, Method
from authz_server.identity.models import CITIZEN
from authz_server.identity.registry_client import registry_of
from authz_server.identity.visits import Visit

_citizen = CITIZEN.c
_FIND = select(_citizen.id).where(_citizen.national_id == bindparam("typed_national_id"))
_LOOK_AGAIN = select(_citizen.suspended_at).where(_citizen.id == bindparam("citizen"))

NATIONAL_ID = Field(
    name="national_id",
    label=Text(zh="國民身分證統一編號或統一證號", en="National ID number or resident certificate number"),
    hint=Text(zh="1 個英文字母和 9 個數字", en="One letter and 9 digits"),
    autocomplete="off",
    max_length=20,
    repeated=True,
)
CARD_NUMBER = Field(
    name="card_number",
    label=Text(zh="健保卡卡號", en="Health insurance card number"),
    hint=Text(zh="卡片正面的 12 個數字", en="The 12 digits on the front of the card"),
    autocomplete="off",
    inputmode="numeric",
    max_length=20,  # as it is printed and pasted: with spaces
    repeated=True,
)


class AskingMethod(Method):
    """A method that asks the registry of its own table in the settings, `[registries.<id>]`."""

    template: ClassVar[str] = "sign_in/asked.html"
    refused: ClassVar[Text] = Text(
        zh="您輸入的資料不相符，或是這裡沒有您的帳號。沒有其他事情發生；請檢查後再試一次。",
        en="What you typed does not match, or you have no account here. Nothing else happened: check it and try again.",
    )

    @abstractmethod
    def evidence(self, form: Form) -> Mapping[str, str]:
        """What was typed, in the registry's spelling; an empty text where it can't be spelled so."""

    @abstractmethod
    def problems(self, form: Form) -> Sequence[tuple[str, Text]]:
        """What can't be right whoever it is, by field; seen without asking anybody, so it tells nobody anything."""

    def available(self, settings: Settings) -> bool:
        """Whether there is a registry to ask."""
        return self.id in settings.registries

    def doors(self, account: str | None, address: str | None, settings: Settings) -> Sequence[Door]:
        """Besides the usual ones, those of a day: what is asked for here is known to more people than a password."""
        limits, registry_id = settings.limits, settings.registries[self.id].id
        # There are so few national ids that a plain digest would name whose it is, account or not.
        guessed_at = derive(services().secret, "asked-about", self.id, account or "")
        return (
            *super().doors(guessed_at, address, settings),
            lockout.address_day(self.id, address, limits),
            lockout.account_day(self.id, guessed_at, limits),
            lockout.registry_day(registry_id, limits),
        )

    def shown(self, settings: Settings, *, needed_level: int | None) -> Mapping[str, Any]:
        """How many failures there may be."""
        limits = settings.limits
        return {
            "few": min(self.most_failures or limits.sign_in_failures, limits.sign_in_failures),
            "window_s": limits.sign_in_window_s,
            "most_in_a_day": limits.knowledge_account_day,
        }


@dataclass(kw_only=True)
class AskingAttempt:
    """What was typed, and whose account it would be."""

    check: str
    evidence: Mapping[str, str] = field(repr=False)
    citizen_id: CitizenId | None
    level: int | None = field(default=None, init=False)

    def prove(self, *, now: datetime) -> None:
        """Ask the registry, also about people who have no account."""
        verdict = registry_of(self.check).ask(self.check, self.evidence, now=clock.now())
        if not verdict.verified:
            raise WrongCredentials("registry_said_no")
        if self.citizen_id is None:
            raise WrongCredentials("unknown_account")
        self.level = verdict.assurance

    def accept(self, session: Session) -> Accepted:
        """Look at the account once more. The registry's answer was to this one question, so there is nothing to spend.

        Raises: as `Attempt.accept`.
        """
        if self.citizen_id is None or self.level is None:
            raise WrongCredentials("not_proved")
        row = session.execute(_LOOK_AGAIN, {"citizen": self.citizen_id}).one_or_none()
        if row is None:
            raise WrongCredentials("unknown_account")
        if row.suspended_at is not None:
            raise CitizenSuspended("suspended")
        return Accepted(citizen_id=self.citizen_id, level=self.level)


def answer(method: AskingMethod, visit: Visit, form: Form) -> Response:
    """What a form is answered that is known to be ours."""
    if problems := method.problems(form):
        return entry.page(visit, method, error="fields", status=400, typed=form, shown={"problems": dict(problems)})
    evidence = method.evidence(form)
    begin = partial(_begin, check=method.id, evidence=evidence)
    return entry.submit(visit, method, account=evidence["national_id"], begin=begin, typed=form)


def plain(text: str) -> str:
    """As it is compared: full-width forms made plain, no spaces or hyphens, upper case."""
    return "".join(unicodedata.normalize("NFKC", text).split()).replace("-", "").upper()


def number_problems(form: Form) -> list[tuple[str, Text]]:
    """What is wrong with the two numbers that both methods ask for."""
    found = []
    if not national_id.check(plain(form.get("national_id", ""))):
        wanted = Text(
            zh="請輸入國民身分證統一編號或統一證號：1 個英文字母和 9 個數字；請檢查每一個字",
            en="Enter the national ID or resident certificate number: one letter and 9 digits; check every character",
        )
        found.append(("national_id", wanted))
    card_number = plain(form.get("card_number", ""))
    if len(card_number) != 12 or not (card_number.isascii() and card_number.isdecimal()):
        wanted = Text(zh="請輸入健保卡卡號：12 個數字", en="Enter the number of the health insurance card: 12 digits")
        found.append(("card_number", wanted))
    return found


def _begin(session: Session, *, check: str, evidence: Mapping[str, str]) -> AskingAttempt:
    found = session.execute(_FIND, {"typed_national_id": evidence["national_id"]}).scalar_one_or_none()
    return AskingAttempt(check=check, evidence=evidence, citizen_id=CitizenId(found) if found else None)
