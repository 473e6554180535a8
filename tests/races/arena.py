"""Where races take place: a platform's database with racers on it, and what its rows and its record say afterwards."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.database import table_of
from authz_server.identity.models import Citizen
from authz_server.tokens.models import DatasetToken
from tests.races.seeding import Seeds, Subject
from tests.races.team import Act, Team
from tests.support.platform import Platform
from tests.support.protocol import new_citizen

# As many as the racers get at a time: enough that none waits for the others after each, few enough that all stay close.
BATCH = 25


def rounds(fewest: int) -> int:
    """How many rounds to run: this many, or, asked for by `make race`, as many more as that is of a thousand."""
    return max(fewest, fewest * int(os.environ.get("MYDATA_RACE_ROUNDS", "0")) // 1000)


@dataclass(frozen=True)
class Arena:
    """A database and everybody in it."""

    platform: Platform
    team: Team
    seeds: Seeds

    def race(self, subjects: Sequence[Subject], acts: Callable[[Subject], Sequence[Act]]) -> list[Counter[str]]:
        """A round for each subject, of 16 racers who do its acts at once; how many of them ended how."""
        ended: list[Counter[str]] = []
        for start in range(0, len(subjects), BATCH):
            ended += self.team.races([acts(subject) for subject in subjects[start : start + BATCH]])
        return ended

    def record(self, subjects: Iterable[Subject]) -> list[Counter[str]]:
        """What the record says of each subject: how often which event."""
        wanted = [subject.transaction_id for subject in subjects]
        entry = table_of(AuditEntry).c
        told: dict[str, Counter[str]] = defaultdict(Counter)
        for transaction, event in self._chunked(
            select(entry.transaction_id, entry.event), entry.transaction_id, wanted
        ):
            told[transaction][event] += 1
        return [told[transaction] for transaction in wanted]

    def states(self, subjects: Iterable[Subject]) -> list[str]:
        """The state of each subject's one dataset token."""
        wanted = [subject.consent_id for subject in subjects]
        token = table_of(DatasetToken).c
        found = dict(self._chunked(select(token.consent_id, token.state), token.consent_id, wanted))
        return [found[consent] for consent in wanted]

    def new_citizen(self) -> tuple[str, int]:
        """The user name and id of a citizen of the test's own."""
        username = new_citizen(self.platform)
        citizen = table_of(Citizen).c
        with Session(self.platform.engine) as session:
            return username, session.execute(select(citizen.id).where(citizen.username == username)).scalar_one()

    def _chunked(self, statement: Any, column: Any, wanted: Sequence[str]) -> list[Any]:
        with Session(self.platform.engine) as session:
            return [
                tuple(row)
                for start in range(0, len(wanted), 500)
                for row in session.execute(statement.where(column.in_(wanted[start : start + 500])))
            ]


def seconds(moment: datetime) -> float:
    """A moment as acts take it."""
    return moment.timestamp()
