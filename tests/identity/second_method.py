"""Identity methods as small as the frame allows: one form that believes whoever knows an account's national id, and
one whose credentials can be listed and removed.
"""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.catalogue.model import Text
from authz_server.core.identifiers import CitizenId
from authz_server.identity.errors import WrongCredentials
from authz_server.identity.methods.base import Accepted, Field, Form, FormMethod, Method
from authz_server.identity.models import CITIZEN


class SecondMethod(FormMethod):
    """It stands where the two-document check would."""

    id = "two_documents"
    name = Text(zh="第二種方式", en="Second method")
    amr = ("kba",)
    refused = Text(zh="不正確", en="Not right")
    fields = (
        Field(
            name="national_id",
            label=Text(zh="號碼", en="Number"),
            autocomplete="off",
            max_length=10,
        ),
    )

    def account(self, form: Form) -> str:
        """The number."""
        return form.get("national_id", "")

    def begin(self, session: Session, form: Form, *, server_secret: bytes) -> "SecondAttempt":
        """Look it up."""
        found = select(CITIZEN.c.id).where(CITIZEN.c.national_id == self.account(form))
        return SecondAttempt(citizen_id=session.execute(found).scalar_one_or_none())


@dataclass
class SecondAttempt:
    """Found or not."""

    citizen_id: CitizenId | None = field(default=None)

    def prove(self, *, now: datetime) -> None:
        """Only an account can be somebody's."""
        if self.citizen_id is None:
            raise WrongCredentials("unknown_account")

    def accept(self, session: Session) -> Accepted:
        """Nothing is spent."""
        assert self.citizen_id is not None
        return Accepted(citizen_id=self.citizen_id)


class Key(Method):
    """What lists have to know of a method that is set up; how it is used plays no part."""

    id = "passkey"
    name = Text(zh="通行金鑰", en="Passkey")
    amr = ("hwk",)
    refused = Text(zh="不正確", en="Not right")
