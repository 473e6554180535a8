"""A recipient is asked to erase once, answers once, and is reminded once, whoever does it at the same moment."""

from collections import Counter
from datetime import timedelta

import pytest

from authz_server.audit.models import AuditEntry
from authz_server.consent.erasure import ANSWERED, DUE, REMINDED, REQUESTED, UNTOLD
from authz_server.consent.models import Consent
from authz_server.core import clock
from tests.races.arena import Arena, rounds, seconds
from tests.races.team import RACERS
from tests.support.protocol import rows

pytestmark = pytest.mark.race
LOSERS = RACERS - 1
# Whether it was asked, then reminded of, then refused, is up to chance; that it is over with the word that it was done
# is not. Nothing is refused or reminded of that was not asked.
STORIES = [
    [*asked, *reminded, *refused, "erased"]
    for asked in ([], [REQUESTED], [UNTOLD])
    for reminded in ([], [REMINDED], [DUE])
    for refused in ([], ["legal_claims"])
    if asked or not (reminded or refused)
]


def test_a_recipient_is_asked_to_erase_once(arena: Arena) -> None:
    now = seconds(clock.now())
    consents = arena.seeds.consents(rounds(10))
    citizen = {"citizen_id": arena.seeds.citizen_id, "at": now}
    ended = arena.race(
        consents, lambda consent: [("ask_erasure", citizen | {"transaction_id": consent.transaction_id})]
    )
    assert ended == [Counter({"asked": 1, "nothing new": LOSERS})] * len(consents)
    assert all(told[REQUESTED] + told[UNTOLD] == told.total() == 1 for told in arena.record(consents))


def test_a_recipient_that_says_two_things_at_once_has_erased_in_the_end(arena: Arena) -> None:
    now = clock.now()
    consents = arena.seeds.consents(rounds(10), erasure_requested_at=now)
    own = {"client_id": arena.seeds.client_id, "at": seconds(now)}
    ended = arena.race(
        consents,
        lambda consent: [
            ("answer_erasure", own | {"grant_id": consent.consent_id, "said": said})
            for said in ("erased", "legal_claims")
        ],
    )
    for consent, how, told in zip(consents, ended, arena.record(consents), strict=True):
        assert how["erased"] == RACERS // 2
        assert how["legal_claims"] + how["ErasureSettled"] == RACERS // 2
        # The refusal is on the record if it was first, and then once, however often it was said before the other.
        assert told == Counter({ANSWERED: 2 if how["legal_claims"] else 1})
        (left,) = rows(arena.platform, Consent, id=consent.consent_id)
        assert (left.erasure_answered_at, left.erasure_refusal) == (now, None)


def test_asked_answered_and_reminded_at_once_it_is_one_story_that_ends_with_the_answer(arena: Arena) -> None:
    now = clock.now()
    consents = arena.seeds.consents(rounds(20), erase_by=clock.day_of(now))
    earlier = seconds(now - timedelta(days=2))  # so that its day has come for whoever reminds
    client = {"client_id": arena.seeds.client_id, "at": seconds(now)}
    citizen = {"citizen_id": arena.seeds.citizen_id, "at": earlier}
    ended = arena.race(
        consents,
        lambda consent: [
            ("ask_erasure", citizen | {"transaction_id": consent.transaction_id}),
            ("remind_of_erasure", {"at": seconds(now)}),
            *(
                ("answer_erasure", client | {"grant_id": consent.consent_id, "said": said})
                for said in ("erased", "legal_claims")
            ),
        ],
    )
    for consent, how in zip(consents, ended, strict=True):
        told = rows(arena.platform, AuditEntry, transaction_id=consent.transaction_id)
        story = [entry.reason or entry.event for entry in sorted(told, key=lambda entry: entry.id)]
        assert how["asked"] == sum(event in {REQUESTED, UNTOLD} for event in story)
        assert story in STORIES
        (left,) = rows(arena.platform, Consent, id=consent.consent_id)
        assert (left.erasure_answered_at, left.erasure_refusal) == (now, None)


def test_of_many_workers_one_reminds_a_recipient(arena: Arena) -> None:
    now = clock.now()
    asked = {"erasure_requested_at": now - timedelta(days=2), "erase_by": clock.day_of(now)}
    for _ in range(rounds(5)):
        consents = arena.seeds.consents(3, **asked)
        assert arena.team.race(("remind_of_erasure", {"at": seconds(now)})) == Counter({"reminded": RACERS})
        assert all(told[REMINDED] == told.total() == 1 for told in arena.record(consents))
