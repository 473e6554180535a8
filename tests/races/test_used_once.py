"""Class 2 of published vulnerabilities: what is good for one use is used by exactly one of sixteen who try at once."""

from collections import Counter

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.consent.models import Consent
from authz_server.core import clock
from authz_server.counter.appointments import ADMINISTRATOR
from authz_server.counter.clerks import OPENED
from authz_server.counter.desk import ANNOUNCED, LOCKED, REDEEMED, REFUSED
from authz_server.counter.models import Appointment, DeskSession
from authz_server.database import table_of
from authz_server.identity.models import Citizen
from authz_server.tokens.models import AccessToken, DatasetToken
from tests.races.arena import Arena, rounds, seconds
from tests.races.seeding import LIMITS, invitation_of, jkt_of
from tests.races.team import RACERS
from tests.support.protocol import rows

pytestmark = pytest.mark.race
LOSERS = RACERS - 1
CLERKS = range(900_001, 900_005)  # each at a desk with a key of its own


def test_a_dataset_token_is_leased_once(arena: Arena) -> None:
    now = clock.now()
    tokens = arena.seeds.tokens(rounds(1000), now=now)
    ended = arena.race(
        tokens,
        lambda token: [
            ("lease", {"token": token.secret, "dataset": arena.seeds.dataset_id, "at": seconds(now)}),
        ],
    )
    assert ended == [Counter({"leased": 1, "TokenNotUsable": LOSERS})] * len(tokens)
    assert arena.record(tokens) == [Counter({"token.leased": 1})] * len(tokens)
    assert set(arena.states(tokens)) == {"leased"}


def test_a_code_is_redeemed_once_and_its_replays_revoke_all_that_it_gave(arena: Arena) -> None:
    now = clock.now()
    codes = arena.seeds.codes(rounds(20), now=now)
    ended = arena.race(
        codes,
        lambda code: [("redeem", {"code": code.secret, "client_id": arena.seeds.client_id, "at": seconds(now)})],
    )
    assert ended == [Counter({"redeemed": 1, "replayed": LOSERS})] * len(codes)
    told = Counter({"code.redeemed": 1, "token.issued": 1, "code.replayed": LOSERS, "token.revoked": 1})
    assert arena.record(codes) == [told] * len(codes)
    assert set(arena.states(codes)) == {"dead"}
    token = table_of(AccessToken).c
    with Session(arena.platform.engine) as session:
        issued = session.execute(
            select(func.count(), func.count(token.revoked_at)).where(
                token.consent_id.in_([code.consent_id for code in codes[:500]])
            )
        ).one()
    assert tuple(issued) == (min(500, len(codes)),) * 2


def test_a_barcode_is_redeemed_once(arena: Arena) -> None:
    now = clock.now()
    barcodes = arena.seeds.barcodes(rounds(20), now=now)
    desk = {"client_id": arena.seeds.client_id, "at": seconds(now)}
    ended = arena.race(barcodes, lambda barcode: [("redeem_barcode", desk | {"barcode": barcode.secret})])
    assert ended == [Counter({"redeemed": 1, "BarcodeNotUsable": LOSERS})] * len(barcodes)
    told = [record["counter.redeemed"] + record["token.issued"] for record in arena.record(barcodes)]
    assert told == [2] * len(barcodes)


def test_at_several_desks_at_once_a_barcode_is_redeemed_at_one_and_the_others_are_told_on_its_record(
    arena: Arena,
) -> None:
    now, office = clock.now(), arena.seeds.client_id
    barcodes = arena.seeds.barcodes(rounds(10), now=now)
    desk = {"client_id": office, "at": seconds(now)}
    ended = arena.race(
        barcodes,
        lambda barcode: [("redeem_barcode", desk | {"barcode": barcode.secret, "clerk": clerk}) for clerk in CLERKS],
    )
    assert ended == [Counter({"redeemed": 1, "BarcodeNotUsable": LOSERS})] * len(barcodes)
    for barcode in barcodes:
        (token,) = rows(arena.platform, DatasetToken, consent_id=barcode.consent_id)
        assert token.jkt == jkt_of(token.clerk_citizen_id)
        told = rows(arena.platform, AuditEntry, transaction_id=barcode.transaction_id)
        assert [entry.actor for entry in told if entry.event == REDEEMED] == [
            f"desk:{office}/desk-1/{token.clerk_citizen_id}"
        ]
        assert [entry.reason for entry in told if entry.event == REFUSED] == ["used"] * LOSERS


def test_a_barcode_that_two_counters_announce_at_once_has_one_code_at_one_of_them(arena: Arena) -> None:
    now = clock.now()
    barcodes = arena.seeds.barcodes(rounds(10), now=now, announced=False)
    office = {"client_id": arena.seeds.client_id, "at": seconds(now)}
    ended = arena.race(
        barcodes,
        lambda barcode: [
            ("announce_barcode", office | {"barcode": barcode.secret, "counter": counter})
            for counter in ("desk-1", "desk-2")
        ],
    )
    assert ended == [Counter({"announced": RACERS // 2, "BarcodeNotUsable": RACERS // 2})] * len(barcodes)
    for told in arena.record(barcodes):
        assert (told[ANNOUNCED], told[REFUSED]) == (1, RACERS // 2)


def test_of_codes_that_are_guessed_at_once_as_many_are_judged_as_one_after_the_other(arena: Arena) -> None:
    now = clock.now()
    barcodes = arena.seeds.barcodes(rounds(5), now=now)
    desk = {"client_id": arena.seeds.client_id, "at": seconds(now)}
    guesses = [
        [("redeem_barcode", desk | {"barcode": barcode.secret, "code": "none", "clerk": clerk}) for clerk in CLERKS]
        for barcode in barcodes
    ]
    assert arena.team.races(guesses) == [Counter({"BarcodeNotUsable": RACERS})] * len(barcodes)
    for barcode in barcodes:
        told = rows(arena.platform, AuditEntry, transaction_id=barcode.transaction_id)
        judged = Counter(entry.reason for entry in told if entry.event == REFUSED)
        most = LIMITS.sign_in_failures
        assert judged == Counter({"wrong_code": most, "locked": RACERS - most})
        assert sum(entry.event == LOCKED for entry in told) == 1
    right = arena.race(barcodes, lambda barcode: [("redeem_barcode", desk | {"barcode": barcode.secret})])
    assert right == [Counter({"BarcodeNotUsable": RACERS})] * len(barcodes)


def test_a_barcode_is_redeemed_or_replaced_and_never_both(arena: Arena) -> None:
    now = clock.now()
    barcodes = arena.seeds.barcodes(rounds(20), now=now)
    desk = {"client_id": arena.seeds.client_id, "at": seconds(now)}
    own = {"citizen_id": arena.seeds.citizen_id, "at": seconds(now) + 1}
    ended = arena.race(
        barcodes,
        lambda barcode: [
            ("redeem_barcode", desk | {"barcode": barcode.secret}),
            ("show_barcode", own | {"transaction_id": barcode.transaction_id}),
        ],
    )
    for how, told in zip(ended, arena.record(barcodes), strict=True):
        # Whoever is shown the next one finds the one before gone, so of the rest many see it change under them.
        assert how["redeemed"] == told["counter.redeemed"] == told["token.issued"] <= 1
        assert how["shown"] == told["counter.shown"]
        assert (how["redeemed"] == 1) != (how["shown"] >= 1)


def test_an_agents_barcode_is_redeemed_or_taken_away_and_never_both(arena: Arena) -> None:
    now, (_, agent_id) = clock.now(), arena.new_citizen()
    barcodes = arena.seeds.barcodes(rounds(10), now=now, agent_id=agent_id)
    desk = {"client_id": arena.seeds.client_id, "at": seconds(now)}
    own = {"agent_id": agent_id, "at": seconds(now)}
    ended = arena.race(
        barcodes,
        lambda barcode: [
            ("redeem_barcode", desk | {"barcode": barcode.secret}),
            *(
                ("end_errand", own | {"transaction_id": barcode.transaction_id, "by": by})
                for by in ("citizen", "agent")
            ),
        ],
    )
    for how, told in zip(ended, arena.record(barcodes), strict=True):
        assert how["redeemed"] == told["delegation.redeemed"] == told["agent.redeemed"] == told["token.issued"]
        assert how["ended"] == told["delegation.ended"] == told["agent.ended"]
        assert how["redeemed"] + how["ended"] == 1
        assert set(how) <= {"redeemed", "ended", "BarcodeNotUsable", "DelegationNotUsable"}


def test_a_barcode_is_redeemed_or_handed_on_and_never_both(arena: Arena) -> None:
    now, (_, agent_id) = clock.now(), arena.new_citizen()
    barcodes = arena.seeds.barcodes(rounds(10), now=now)
    arena.seeds.delegate(barcodes, now=now, agent_id=agent_id, accepted_at=now)
    desk = {"client_id": arena.seeds.client_id, "at": seconds(now)}
    own = {"citizen_id": arena.seeds.citizen_id, "at": seconds(now)}
    ended = arena.race(
        barcodes,
        lambda barcode: [
            ("redeem_barcode", desk | {"barcode": barcode.secret}),
            ("confirm_errand", own | {"transaction_id": barcode.transaction_id}),
        ],
    )
    for how, told in zip(ended, arena.record(barcodes), strict=True):
        assert how["redeemed"] == told["counter.redeemed"] == told["token.issued"]
        assert how["confirmed"] == told["delegation.confirmed"] == told["agent.confirmed"]
        assert how["redeemed"] + how["confirmed"] == 1


def test_an_invitation_is_opened_and_accepted_once_by_whom_it_names(arena: Arena) -> None:
    now, (name, agent_id), (_, other_id) = clock.now(), arena.new_citizen(), arena.new_citizen()
    barcodes = arena.seeds.barcodes(rounds(5), now=now)
    arena.seeds.delegate(barcodes, now=now, named=rows(arena.platform, Citizen, username=name)[0].national_id)
    opening = arena.race(
        barcodes,
        lambda barcode: [
            ("open_invitation", {"invitation": invitation_of(barcode), "agent_id": one, "at": seconds(now)})
            for one in (agent_id, other_id)
        ],
    )
    accepting = arena.race(
        barcodes,
        lambda barcode: [
            ("accept_errand", {"transaction_id": barcode.transaction_id, "agent_id": agent_id, "at": seconds(now)})
        ],
    )
    assert accepting == [Counter({"accepted": 1, "DelegationNotUsable": LOSERS})] * len(barcodes)
    once = {f"{whose}.{step}": 1 for whose in ("delegation", "agent") for step in ("opened", "accepted")}
    for how, told in zip(opening, arena.record(barcodes), strict=True):
        assert how["opened"]
        assert {event: told[event] for event in once} == once


def test_of_two_administrators_who_dismiss_each_other_one_stays(arena: Arena) -> None:
    now, office = clock.now(), arena.seeds.client_id
    both = [arena.new_citizen()[1] for _ in range(2)]
    for _ in range(rounds(10)):
        with Session(arena.platform.engine) as session, session.begin():
            made = [
                Appointment(client_id=office, citizen_id=one, role=ADMINISTRATOR, appointed_at=now, appointed_by=None)
                for one in both
            ]
            session.add_all(made)
            session.flush()
            first, second = (one.id for one in made)
        each = {"office": office, "at": seconds(now)}
        acts = [("dismiss", each | {"appointment": one, "by": by}) for one, by in ((first, second), (second, first))]
        assert arena.team.race(*acts) == Counter({"ended": 1, "nothing": LOSERS})
        with Session(arena.platform.engine) as session, session.begin():
            session.execute(update(Appointment).values(ended_at=now).where(Appointment.id.in_((first, second))))


def test_a_clerks_code_is_redeemed_once_and_its_replays_end_what_it_opened(arena: Arena) -> None:
    now, (_, clerk_id) = clock.now(), arena.new_citizen()
    codes = arena.seeds.of(citizen_id=clerk_id).clerks_codes(rounds(10), now=now)
    office = {"office": arena.seeds.client_id, "at": seconds(now)}
    ended = arena.race(
        codes, lambda code: [("start_work", office | {"code": code.secret, "desk_key": clerk}) for clerk in CLERKS]
    )
    assert ended == [Counter({"started": 1, "misused": LOSERS})] * len(codes)
    assert len(rows(arena.platform, AuditEntry, citizen_id=clerk_id, event=OPENED)) == len(codes)
    assert all(
        shift.token_digest and shift.ended_at for shift in rows(arena.platform, DeskSession, citizen_id=clerk_id)
    )


def test_a_request_is_approved_once(arena: Arena) -> None:
    now = clock.now()
    requests = arena.seeds.requests(rounds(20), now=now)
    citizen = {"citizen_id": arena.seeds.citizen_id, "at": seconds(now)}
    ended = arena.race(requests, lambda request: [("approve", {"request_id": request.secret} | citizen)])
    assert ended == [Counter({"approved": 1, "RequestNotUsable": LOSERS})] * len(requests)
    told = Counter({"consent.requested": 1, "consent.approved": 1})
    assert arena.record(requests) == [told] * len(requests)


def test_a_request_is_either_approved_or_denied(arena: Arena) -> None:
    now = clock.now()
    requests = arena.seeds.requests(rounds(20), now=now)
    ended = arena.race(
        requests,
        lambda request: [
            (act, {"request_id": request.secret, "citizen_id": arena.seeds.citizen_id, "at": seconds(now)})
            for act in ("approve", "deny")
        ],
    )
    for how, told in zip(ended, arena.record(requests), strict=True):
        assert how["approved"] + how["denied"] == 1
        assert told == Counter({"consent.requested": 1, "consent.approved": how["approved"]}) + Counter(
            {"consent.denied": how["denied"]}
        )
    consent = table_of(Consent).c
    with Session(arena.platform.engine) as session:
        given = session.execute(
            select(func.count()).where(consent.transaction_id.in_([request.transaction_id for request in requests]))
        ).scalar_one()
    assert given == sum(how["approved"] for how in ended)


def test_a_client_assertion_is_good_for_one_request(arena: Arena) -> None:
    now = seconds(clock.now())
    requests = arena.seeds.requests(rounds(20), now=clock.now())
    ended = arena.race(
        requests,
        lambda unique: [("push", {"client_id": arena.seeds.client_id, "jti": unique.secret, "at": now})],
    )
    assert ended == [Counter({"pushed": 1, "AssertionReplayed": LOSERS})] * len(requests)


def test_a_dpop_proof_is_good_for_one_request(arena: Arena) -> None:
    now = clock.now()
    tokens = arena.seeds.access_tokens(rounds(20), now=now)
    ended = arena.race(
        tokens, lambda token: [("userinfo", {"token": token.secret, "proof": token.secret, "at": seconds(now)})]
    )
    assert ended == [Counter({"found": 1, "ProofReplayed": LOSERS})] * len(tokens)


@pytest.mark.parametrize("shared", ["jti", "proof"])
def test_one_identifier_leases_one_of_many_tokens(arena: Arena, shared: str) -> None:
    now = clock.now()
    tokens = arena.seeds.tokens(rounds(20) * RACERS, now=now)
    groups = [tokens[start : start + RACERS] for start in range(0, len(tokens), RACERS)]
    arguments = {"dataset": arena.seeds.dataset_id, "at": seconds(now)}
    ended = arena.team.races(
        [
            [("lease", arguments | {"token": token.secret, shared: group[0].secret}) for token in group]
            for group in groups
        ]
    )
    replayed = {"jti": "AssertionReplayed", "proof": "ProofReplayed"}[shared]
    assert ended == [Counter({"leased": 1, replayed: LOSERS})] * len(groups)
    assert Counter(arena.states(tokens)) == {"leased": len(groups), "issued": len(groups) * LOSERS}
