"""Freeze, and leave, against what is under way: whoever is second sees the first, and nothing given stays open."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.consent.models import AuthorizationCode, Consent
from authz_server.core import clock
from authz_server.database import table_of
from authz_server.identity.models import CITIZEN
from authz_server.tokens.models import AccessToken, DatasetToken
from tests.races.arena import Arena, rounds, seconds
from tests.races.seeding import Seeds, Subject
from tests.races.team import RACERS, Act
from tests.support.protocol import rows, writing

pytestmark = pytest.mark.race
ROUNDS = 4
PREY = RACERS - 1
ENDS = {"freeze": "frozen", "leave": "left"}
ENDINGS = pytest.mark.parametrize("end", ENDS)


class Hunt:
    """A citizen of one round's own, whom one racer freezes or lets leave while the others use what was given."""

    def __init__(self, arena: Arena, end: str) -> None:
        self.arena = arena
        self.now = clock.now()
        _, self.citizen_id = arena.new_citizen()
        self.seeds: Seeds = arena.seeds.of(citizen_id=self.citizen_id)
        self.end: Act = (end, {"citizen_id": self.citizen_id, "at": seconds(self.now)})

    def run(self, acts: Sequence[Act]) -> Counter[str]:
        """How it ended; then the account is opened again, without a look at what was stopped."""
        ended = self.arena.team.race(*acts, self.end)
        assert ended[ENDS[self.end[0]]] == 1
        with writing(self.arena.platform) as session:
            opened = CITIZEN.update().where(CITIZEN.c.id == self.citizen_id).values(frozen_at=None, suspended_at=None)
            session.execute(opened)
        return ended

    def again(self, acts: Sequence[Act]) -> Counter[str]:
        return self.arena.team.race(*acts)

    def nothing_is_open(self) -> None:
        own = {"citizen_id": self.citizen_id}
        platform = self.arena.platform
        assert {token.state for token in rows(platform, DatasetToken, **own)} <= {"dead", "spent"}
        assert all(token.revoked_at for token in rows(platform, AccessToken, **own))
        assert all(code.used_at for code in rows(platform, AuthorizationCode, **own))


@ENDINGS
def test_a_token_that_is_fetched_while_all_is_stopped_is_fetched_no_further(arena: Arena, end: str) -> None:
    for _ in range(rounds(ROUNDS)):
        hunt = Hunt(arena, end)
        at = {"at": seconds(hunt.now)}
        tokens = hunt.seeds.tokens(PREY, now=hunt.now)
        acts: list[Act] = [
            ("lease", {"token": token.secret, "dataset": hunt.seeds.dataset_id} | at) for token in tokens
        ]
        ended = hunt.run(acts)
        assert ended["leased"] + ended["TokenNotUsable"] == PREY
        hunt.nothing_is_open()
        assert hunt.again(acts) == {"TokenNotUsable": RACERS}
        told = sum(arena.record(tokens), Counter())
        assert told == Counter({"consent.withdrawn": PREY, "token.revoked": PREY}) + Counter(
            {"token.leased": ended["leased"]}
        )


@pytest.mark.parametrize("outcome", ["delivering", "delivered", "failed", "preparing", "no_record"])
@ENDINGS
def test_what_is_under_way_is_delivered_before_or_not_at_all(arena: Arena, end: str, outcome: str) -> None:
    hunt = Hunt(arena, end)
    tokens = hunt.seeds.tokens(PREY, now=hunt.now, leased_until=hunt.now + timedelta(minutes=2))
    acts: list[Act] = [
        ("report", {"handle": token.lease, "outcome": outcome, "at": seconds(hunt.now)}) for token in tokens
    ]
    ended = hunt.run(acts)
    hunt.nothing_is_open()
    for token, told in zip(tokens, arena.record(tokens), strict=True):
        delivered = outcome == "delivered" and told["token.delivered"]
        assert told["token.revoked"] == (0 if delivered else 1), token.transaction_id
    assert ended[outcome] + ended["LeaseNotUsable"] == PREY


@ENDINGS
def test_a_code_that_is_redeemed_while_all_is_stopped_leaves_no_token(arena: Arena, end: str) -> None:
    for _ in range(rounds(ROUNDS)):
        hunt = Hunt(arena, end)
        codes = hunt.seeds.codes(PREY, now=hunt.now)
        redeem = {"client_id": hunt.seeds.client_id, "at": seconds(hunt.now)}
        acts: list[Act] = [("redeem", {"code": code.secret} | redeem) for code in codes]
        ended = hunt.run(acts)
        assert ended["redeemed"] + ended["CodeNotUsable"] == PREY
        hunt.nothing_is_open()
        assert hunt.again(acts)["redeemed"] == 0
        issued = sum(told["token.issued"] for told in arena.record(codes))
        assert issued == ended["redeemed"]


@ENDINGS
@pytest.mark.parametrize("who_goes", ["the citizen", "an agent"])
def test_a_barcode_that_is_redeemed_while_all_is_stopped_leaves_no_token(arena: Arena, end: str, who_goes: str) -> None:
    agent_id = arena.new_citizen()[1] if who_goes == "an agent" else None
    for _ in range(rounds(ROUNDS)):
        hunt = Hunt(arena, end)
        barcodes = hunt.seeds.barcodes(PREY, now=hunt.now, agent_id=agent_id)
        desk = {"client_id": hunt.seeds.client_id, "at": seconds(hunt.now)}
        acts: list[Act] = [("redeem_barcode", desk | {"barcode": barcode.secret}) for barcode in barcodes]
        ended = hunt.run(acts)
        assert ended["redeemed"] + ended["BarcodeNotUsable"] == PREY
        hunt.nothing_is_open()
        assert hunt.again(acts) == {"BarcodeNotUsable": RACERS}
        issued = sum(told["token.issued"] for told in arena.record(barcodes))
        assert issued == ended["redeemed"]


@ENDINGS
def test_a_barcode_is_redeemed_before_its_agent_is_gone_or_not_at_all(arena: Arena, end: str) -> None:
    for _ in range(rounds(ROUNDS)):
        hunt = Hunt(arena, end)
        barcodes = arena.seeds.barcodes(PREY, now=hunt.now, agent_id=hunt.citizen_id)
        desk = {"client_id": arena.seeds.client_id, "at": seconds(hunt.now)}
        acts: list[Act] = [("redeem_barcode", desk | {"barcode": barcode.secret}) for barcode in barcodes]
        ended = arena.team.race(*acts, hunt.end)
        assert ended[ENDS[end]] == 1
        assert ended["redeemed"] + ended["BarcodeNotUsable"] == PREY
        assert hunt.again(acts) == {"BarcodeNotUsable": RACERS}
        redeemed = [told["delegation.redeemed"] for told in arena.record(barcodes)]
        assert sum(redeemed) == ended["redeemed"]


@ENDINGS
def test_a_request_that_is_approved_while_all_is_stopped_opens_nothing(arena: Arena, end: str) -> None:
    for _ in range(rounds(2 * ROUNDS)):
        hunt = Hunt(arena, end)
        requests = hunt.seeds.requests(PREY, now=hunt.now)
        citizen = {"citizen_id": hunt.citizen_id, "at": seconds(hunt.now)}
        acts: list[Act] = [("approve", {"request_id": request.secret} | citizen) for request in requests]
        ended = hunt.run(acts)
        assert ended["approved"] + ended["RequestNotUsable"] == PREY
        hunt.nothing_is_open()
        given = consents(arena, requests)
        assert len(given) == ended["approved"]
        assert all(withdrawn_at is not None for withdrawn_at in given)


def consents(arena: Arena, subjects: Sequence[Subject]) -> list[object]:
    """When the consents of these requests were taken back."""
    consent = table_of(Consent).c
    wanted = [subject.transaction_id for subject in subjects]
    with Session(arena.platform.engine) as session:
        return list(session.scalars(select(consent.withdrawn_at).where(consent.transaction_id.in_(wanted))))
