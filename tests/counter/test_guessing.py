"""What is shown to people can't be guessed, is kept nowhere, and is worth nothing once somebody is stopped.

Classes 13, 14, 24, 25 and 30 of published vulnerabilities (tests/security), for barcodes and one-time codes.
"""

import logging
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update
from werkzeug.test import TestResponse

from authz_server.clients import service as clients
from authz_server.clients.policy import PRE_AUTHORIZED_CODE
from authz_server.core import clock, secrets
from authz_server.core.identifiers import CROCKFORD
from authz_server.counter.codes import check_character, face, find_digits, find_short
from authz_server.counter.masking import masked
from authz_server.identity.models import Citizen
from tests.counter.office import agree, announce, new_office, redeem, scan
from tests.counter.test_visit import refused
from tests.support.platform import Platform
from tests.support.protocol import everything, new_citizen, writing

SHORT_FORM = st.text(CROCKFORD, min_size=12, max_size=12).map(lambda text: text + check_character(text))


def test_a_barcode_has_128_bits_that_nobody_makes_without_the_secret_of_the_session() -> None:
    now, secret = clock.now(), secrets.new_secret("mds_")
    faces = [face(secret, "T", now + timedelta(microseconds=number)) for number in range(2000)]
    numbers = [int(one.digits) for one in faces]
    assert len(set(numbers)) == len({one.short for one in faces}) == 2000
    assert max(numbers) < 2**128
    # Each of the 128 bits is as often set as not; far outside of this lies one run in a thousand million.
    for bit in range(128):
        assert 850 < sum(number >> bit & 1 for number in numbers) < 1150
    assert face(secret, "T", now) != face(secrets.new_secret("mds_"), "T", now) != face(secret, "T2", now)


@given(SHORT_FORM, st.integers(0, 12), st.sampled_from(CROCKFORD))
def test_a_wrong_character_is_always_found(short: str, place: int, other: str) -> None:
    wrong = short[:place] + other + short[place + 1 :]
    assert (find_short(wrong) is None) == (wrong != short)


@given(SHORT_FORM, st.integers(0, 11))
def test_two_neighbours_that_changed_places_are_found_but_for_one_pair(short: str, place: int) -> None:
    one, other = short[place], short[place + 1]
    wrong = short[:place] + other + one + short[place + 2 :]
    unseen = one == other or {one, other} == {CROCKFORD[0], CROCKFORD[-1]}
    assert (find_short(wrong) is None) != unseen


@given(SHORT_FORM)
def test_what_people_mistake_and_how_they_group_it_does_not_matter(short: str) -> None:
    typed = "-".join((short[:4], short[4:8], short[8:])).lower().replace("0", "o").replace("1", "l")
    assert find_short(f" {typed} ") == short
    assert find_digits(short) is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("王小明", "王○明"),
        ("王明", "王○"),
        ("歐陽小明", "歐○○明"),
        ("Wang Ming", "W** M**"),
        ("王", "王"),
        ("", ""),
        ("José  Núñez", "J** N**"),
        ("Škoda", "Š**"),
        (" 王明 ", "王○"),
        ("瓦歷斯·諾幹", "瓦○○○○幹"),
    ],
)
def test_a_clerk_sees_a_name_that_only_its_bearer_recognises(name: str, shown: str) -> None:
    assert masked(name) == shown


def test_neither_tables_nor_logs_hold_what_opens_anything(
    own_platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    office = new_office(own_platform)
    visit = agree(own_platform, office)
    typed = visit.show()
    digits = scan(visit.citizen.client.get(f"{visit.path}/barcode.png").data)
    assert announce(office, digits).status_code == 200
    code = visit.code()
    assert code is not None
    assert redeem(office, digits, "000000" if code != "000000" else "111111").status_code == 400
    assert redeem(office, digits, code).status_code == 200
    kept = str(everything(own_platform)) + caplog.text
    for secret in (digits, typed, typed.replace("-", ""), str(int(digits))):
        assert secret not in kept
    assert f"'{code}'" not in kept


@pytest.mark.parametrize("who", ["office", "citizen"])
def test_whoever_is_stopped_in_between_gets_or_gives_nothing(own_platform: Platform, who: str) -> None:
    office = new_office(own_platform)
    visit = agree(own_platform, office)
    barcode = visit.show()
    assert announce(office, barcode).status_code == 200
    code = visit.code()
    with writing(own_platform) as session:
        if who == "office":
            clients.suspend(session, office.client_id, now=clock.now())
        else:
            session.execute(update(Citizen).where(Citizen.username == "citizen1").values(frozen_at=clock.now()))
    expected = "invalid_client" if who == "office" else "invalid_grant"
    assert announce(office, barcode).get_json()["error"] == expected
    assert redeem(office, barcode, code).get_json()["error"] == expected
    if who == "citizen":
        visit.citizen.client.post(visit.path)
        assert "The consent had ended." in visit.page().text


def test_a_barcode_of_one_citizen_is_not_shown_anew_by_another(own_platform: Platform) -> None:
    office = new_office(own_platform)
    visit = agree(own_platform, office)
    barcode = visit.show()
    other = own_platform.citizen("citizen2")
    assert other.client.post(visit.path, data={"csrf": "x"}).status_code == 404
    assert announce(office, barcode).status_code == 200


@pytest.mark.parametrize("again", ["wrong", "right"])
def test_a_refused_guess_is_spent_too_so_that_nobody_locks_a_citizen_out_by_sending_it_again(
    platform: Platform, again: str
) -> None:
    office = new_office(platform)
    visit = agree(platform, office, platform.citizen(new_citizen(platform)))
    barcode = visit.show()
    assert announce(office, barcode).status_code == 200
    right = str(visit.code())
    code = {"right": right, "wrong": f"{(int(right) + 1) % 10**6:06}"}
    actor, assertion = office.actor(), office.assertion()
    proof = office.proof("POST", f"{office.issuer}/token")

    def present(code: str, proof: str, assertion: str) -> TestResponse:
        form = {"grant_type": PRE_AUTHORIZED_CODE, "pre-authorized_code": barcode, "tx_code": code}
        return office.post("/token", actor | form | {"client_assertion": assertion}, {"DPoP": proof})

    assert refused(present(code["wrong"], proof, assertion))
    kept = everything(platform)
    assert present(code[again], proof, assertion).get_json()["error"] == "invalid_client"
    assert present(code[again], proof, office.assertion()).get_json()["error"] == "invalid_dpop_proof"
    assert everything(platform) == kept
    assert redeem(office, barcode, right).status_code == 200


def test_a_refused_announcement_is_spent_too(platform: Platform) -> None:
    office = new_office(platform)
    actor, assertion = office.actor(), office.assertion()
    proof = office.proof("POST", f"{office.issuer}/announce")

    def present(proof: str, assertion: str) -> TestResponse:
        form = {"pre-authorized_code": "0" * 40, "counter": "desk-1", "client_assertion": assertion}
        return office.post("/announce", actor | form, {"DPoP": proof})

    assert present(proof, assertion).get_json()["error"] == "invalid_grant"
    kept = everything(platform)
    assert present(proof, assertion).get_json()["error"] == "invalid_client"
    assert present(proof, office.assertion()).get_json()["error"] == "invalid_dpop_proof"
    assert everything(platform) == kept
