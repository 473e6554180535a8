"""What is sealed for an agency is sent, given up, lapsed or answered: one of them, whoever does it at once."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from authz_server.audit.models import AuditEntry
from authz_server.consent.correction import REQUESTED, SEALED_FOR, SETTLED, UNDELIVERED
from authz_server.consent.models import Correction
from authz_server.core import clock
from authz_server.core.secrets import new_secret
from tests.races.arena import Arena, rounds, seconds
from tests.races.seeding import Seeds, Subject
from tests.races.team import RACERS
from tests.races.test_freeze import ENDINGS, Hunt
from tests.support.protocol import rows

pytestmark = pytest.mark.race
LOSERS = RACERS - 1
FIELD = "national_id"
A_MOMENT = timedelta(milliseconds=1)


def wanted(seeds: Seeds, consent: Subject) -> dict[str, Any]:
    """What is to be corrected of what a consent brought."""
    place = {"agency_id": seeds.agency_id, "dataset_id": seeds.dataset_id, "field_id": FIELD}
    owner = {"citizen_id": seeds.citizen_id, "client_id": seeds.client_id}
    return place | owner | {"transaction_id": consent.transaction_id, "consent_id": consent.consent_id}


def test_of_many_requests_about_one_field_one_is_sealed(arena: Arena) -> None:
    now = clock.now()
    arena.seeds.sign_in(now)
    consents = arena.seeds.consents(rounds(10))
    ended = arena.race(
        consents,
        lambda consent: [
            (
                "ask_correction",
                {"name": new_secret("")[:22], "wanted": wanted(arena.seeds, consent), "at": seconds(now)},
            )
            for _ in range(RACERS)
        ],
    )
    assert ended == [Counter({"asked": 1, "open already": LOSERS})] * len(consents)
    assert arena.record(consents) == [Counter({REQUESTED: 1})] * len(consents)


def test_what_is_sealed_is_sent_or_given_up_and_settled_once(arena: Arena) -> None:
    now = clock.now()
    asked_at = now - SEALED_FOR
    consents = arena.seeds.consents(rounds(20))
    names = arena.seeds.corrections(consents, FIELD, requested_at=asked_at)
    before = {"at": seconds(now - A_MOMENT)}
    ended = arena.race(
        consents,
        lambda consent: [
            ("send_correction", before | {"name": names[consent]}),
            ("give_up_correction", before | {"name": names[consent]}),
            ("lapse_corrections", {"at": seconds(now)}),
            ("settle_correction", before | {"name": names[consent], "outcome": "corrected", "agency_id": "ris"}),
        ],
    )
    for consent, how in zip(consents, ended, strict=True):
        (row,) = rows(arena.platform, Correction, id=names[consent])
        told = rows(arena.platform, AuditEntry, transaction_id=consent.transaction_id)
        assert [(entry.event, entry.reason) for entry in told] == [(SETTLED, row.outcome)]
        assert row.sealed is None
        # The agency's answer, which it gives once it has it, is not lost to who thought that it would never take it.
        assert row.outcome == ("corrected" if row.delivered_at else row.outcome)
        assert how["corrected"] == (0 if row.outcome == UNDELIVERED else RACERS // 4)


@ENDINGS
def test_of_who_is_gone_nothing_is_sealed_and_nothing_stays(arena: Arena, end: str) -> None:
    for _ in range(rounds(4)):
        hunt = Hunt(arena, end)
        hunt.seeds.sign_in(hunt.now)
        consents = hunt.seeds.consents(RACERS - 1)
        own = {"at": seconds(hunt.now)}
        acts = [
            (
                "ask_correction",
                own | {"name": new_secret("")[:22], "wanted": wanted(hunt.seeds, consent)},
            )
            for consent in consents
        ]
        ended = hunt.run(acts)
        assert ended["asked"] + ended["ShutOut"] == RACERS - 1
        kept = rows(arena.platform, Correction, citizen_id=hunt.citizen_id)
        assert len(kept) == (0 if end == "leave" else ended["asked"])
        assert sum(told[REQUESTED] for told in arena.record(consents)) == ended["asked"]
