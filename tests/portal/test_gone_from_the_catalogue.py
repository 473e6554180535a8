"""What leaves the catalogue while something of it is open, or a client the registry, for it could not be registered so
today: nothing breaks, and what can't be fetched now says so."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from operator import itemgetter

import pytest
from sqlalchemy import update

from authz_server.catalogue.model import Catalogue, Dataset
from authz_server.clients.document import Context
from authz_server.clients.models import Client as ClientRow
from authz_server.clients.registry import Registry
from authz_server.identity.models import Citizen
from authz_server.tokens.models import DatasetToken
from tests.counter.office import Errand, agree, announce, new_office, redeem
from tests.portal.test_download import Given, ask
from tests.support.belongings import OF_AGENCIES, OF_CLIENTS, addresses, belongings
from tests.support.platform import Platform, answer_of
from tests.support.protocol import another, new_citizen, opened, rows, services_of, writing


def without(whole: Catalogue, names: Iterable[str]) -> Catalogue:
    """The catalogue, but for these: ids of datasets, or of fields behind a slash."""
    gone = frozenset(names)

    def left(dataset: Dataset) -> Dataset:
        fields = tuple(field for field in dataset.fields if f"{dataset.id}/{field.id}" not in gone)
        return replace(dataset, fields=fields)

    return Catalogue(
        agencies=tuple(
            replace(agency, datasets=tuple(left(one) for one in agency.datasets if one.id not in gone))
            for agency in whole
        ),
        version="newer",
    )


@contextmanager
def restarted(platform: Platform, *gone: str, mended: bool = False) -> Iterator[None]:
    """A server that has read a newer catalogue.

    Args: mended: clients whose registration named what is gone have another one by now; without, they are out.
    """
    extensions, newer = platform.app.extensions, without(platform.catalogue, gone)
    before = extensions["mydata"]
    registry = before.registry if mended else Registry(platform.engine, Context(newer, sandbox=True))
    extensions["mydata"] = replace(before, catalogue=newer, registry=registry)
    try:
        yield
    finally:
        extensions["mydata"] = before


@pytest.mark.parametrize("gone", ["datasets", "fields"])
def test_no_page_breaks(platform: Platform, gone: str) -> None:
    theirs, whole = belongings(platform), platform.catalogue
    names = list(whole.scopes) if gone == "datasets" else [
        f"{dataset.id}/{field.id}" for agency in whole for dataset in agency.datasets for field in dataset.fields
    ]  # fmt: skip
    answers: dict[str, int] = {}
    with restarted(platform, *names):
        for rule, method in addresses(platform.app):
            if method == "GET" and not rule.arguments & (OF_CLIENTS | OF_AGENCIES) and "filename" not in rule.arguments:
                answers[theirs.path(rule)] = theirs.browser.client.get(theirs.path(rule)).status_code
    assert len(answers) > 40
    assert {path: status for path, status in answers.items() if status >= 500} == {}


def test_a_question_about_it_is_over(platform: Platform) -> None:
    citizen = platform.citizen()
    question = ask(citizen, "ris.kinship").location
    with restarted(platform, "ris.kinship"):
        assert citizen.client.get(question).status_code == 400
        assert platform.browser().get(question.replace("/consent/", "/sign-in?request=")).status_code == 400
    assert citizen.client.get(question).status_code == 200


def test_a_download_of_it_is_shown_and_not_fetched(platform: Platform) -> None:
    given = Given(platform, "ris.personal", "ris.kinship")
    with restarted(platform, "ris.kinship"):
        page = given.citizen.client.get(f"{given.path}?lang=en")
        assert page.status_code == 200
        assert "Not provided any more: ris.kinship" in page.text
        assert 'id="fetching"' not in page.text
        assert page.text.count("data-dataset=") == 2
        refused = given.redeem()
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_grant")
    # Nothing was spent: where the catalogue has it again, it can be fetched.
    assert len(given.tokens()) == 2


def test_a_code_for_it_is_refused_and_not_spent(platform: Platform) -> None:
    code = platform.code(platform.detail("ris.personal"), platform.detail("ris.kinship"))
    with restarted(platform, "ris.kinship", mended=True):
        refused = platform.bank.redeem(code)
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_grant")
    assert platform.bank.redeem(code).status_code == 200


def test_a_code_that_was_redeemed_is_a_replay_all_the_same(platform: Platform) -> None:
    username = new_citizen(platform)
    citizen = platform.citizen(username)
    page = opened(citizen, platform.bank, platform.bank.push(platform.detail("ris.kinship")))
    code = answer_of(citizen.decide(page))["code"]
    assert platform.bank.redeem(code).status_code == 200
    with restarted(platform, "ris.kinship", mended=True):
        assert platform.bank.redeem(code).get_json()["error"] == "invalid_grant"
    ended = {
        row.state for row in rows(platform, DatasetToken, citizen_id=rows(platform, Citizen, username=username)[0].id)
    }
    assert ended == {"dead"}


def test_a_barcode_for_it_is_refused_and_the_record_says_why(platform: Platform) -> None:
    office = new_office(platform)
    visit = agree(platform, office, platform.citizen(new_citizen(platform)))
    barcode = visit.show()
    assert announce(office, barcode).status_code == 200
    code = visit.code()
    with restarted(platform, "fia.property", mended=True):
        refused = redeem(office, barcode, code)
        page = visit.citizen.client.get(f"{visit.path}?lang=en")
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_grant")
    assert "Some of the data is not provided any more." in page.text
    assert redeem(office, barcode, code).status_code == 200


def test_the_right_code_of_such_a_barcode_is_no_guess_and_a_wrong_one_stays_one(platform: Platform) -> None:
    office = new_office(platform)
    visit = agree(platform, office, platform.citizen(new_citizen(platform)))
    barcode = visit.show()
    assert announce(office, barcode).status_code == 200
    right = str(visit.code())
    with restarted(platform, "fia.property", mended=True):
        answers = [redeem(office, barcode, code) for code in [right, another(right)] * 4 + [right] * 2]
        page = visit.page().text
        assert "Locked until" not in page
        assert page.count("Some of the data is not provided any more.") == 7, "six times on the record, and in front"
        answers += [redeem(office, barcode, another(right)), redeem(office, barcode, right)]
        assert "Locked until" in visit.page().text
    assert len({(answer.status_code, answer.data) for answer in answers}) == 1, "a desk can't tell one from another"


def test_an_agent_is_shown_the_fields_that_are_left(platform: Platform) -> None:
    sent = Errand(
        agree(platform, new_office(platform), platform.citizen(new_citizen(platform))), platform.citizen("citizen2")
    )
    sent.confirm()
    with restarted(platform, "fia.property/national_id", mended=True):
        assert sent.agent.client.get(sent.own).status_code == 200


def test_a_token_of_a_client_that_is_out_by_it_is_not_used_up(platform: Platform) -> None:
    (granted,) = platform.tokens(platform.detail("ris.personal"))["authorization_details"]

    def exchange() -> int:
        jkt = platform.bank.dpop_key.thumbprint
        return platform.proxy.exchange(granted["access_token"], "ris.personal", jkt=jkt).status_code

    with restarted(platform, "ris.kinship"):
        assert exchange() == 400
    assert exchange() == 200


def test_nothing_breaks_for_clients_whose_hosts_were_not_looked_at(own_platform: Platform) -> None:
    theirs = belongings(own_platform)
    asked = own_platform.bank.push(own_platform.detail("ris.personal"))
    (granted,) = own_platform.tokens(own_platform.detail("ris.kinship"))["authorization_details"]
    with writing(own_platform) as session:
        hosts = {"redirect_uris": ["https://a..b/callback"], "privacy_url": "https://a..b/"}
        session.execute(update(ClientRow).where(ClientRow.profile == "fapi2").values(hosts))
    bank = own_platform.bank
    assert services_of(own_platform).registry.client(bank.client_id) is None
    answers: dict[tuple[str, str], int] = {}
    for rule, method in sorted(addresses(own_platform.app), key=itemgetter(1)):
        if not rule.arguments & (OF_CLIENTS | OF_AGENCIES) and "filename" not in rule.arguments:
            path = theirs.path(rule)
            answers[method, path] = theirs.browser.client.open(path, method=method).status_code
    jkt = bank.dpop_key.thumbprint
    answers["push", ""] = bank.post("/par", bank.parameters()).status_code
    answers["authorize", ""] = own_platform.citizen().authorize(bank.client_id, asked).status_code
    answers["exchange", ""] = own_platform.proxy.exchange(granted["access_token"], "ris.kinship", jkt=jkt).status_code
    assert len(answers) > 100
    assert {of: status for of, status in answers.items() if status >= 500} == {}
