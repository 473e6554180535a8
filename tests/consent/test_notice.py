"""The notice: composed from what was asked, the same when it is shown as when it is decided on."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import orjson
import pytest

from authz_server.catalogue.model import Catalogue, Text
from authz_server.clients.model import Client, Purpose, PurposeDataset
from authz_server.clients.policy import FAPI2
from authz_server.consent.details import RequestedDataset
from authz_server.consent.notice import VERSION, Notice, basis, compose
from authz_server.consent.request import AuthorizationParameters, PendingRequest
from authz_server.consent.wording import SENTENCES
from authz_server.core import clock
from authz_server.core.identifiers import ClientId, DatasetId

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
# Words and version go together: whoever changes a sentence makes a new version, and puts the digest of it here.
WORDS = {
    "2026-11": "0c22aa7e32cc12bdf9d4988b708340f77a03aaf03e5d5365186dac3926309525",
    "2026-11.2": "5988de045e660a094e3649904616478fd3e00fdd83b869f52e44d2bdd3a80b04",
    "2026-11.3": "5c4579bb4f4d9f484018922b0e1f725b98df93cc7150183a5550367395801d3f",
    "2026-11.4": "35886bc83a5ef12623a7e11d5c2dc098c5460428c7b88fc7f2c910130df0addb",
    "2026-11.5": "7371ae631c04f8135ff844fdff461eff281a20a6f17ffe803090de1b8c11c8a1",
    "2026-11.6": "d27924518416e6b46c92a64451eeba578bcda0685cb0203ccf1ba9087dbab053",
    "2026-11.7": "783b9862575731afd4fc7e1788873d8b97f47a5b635bd3e72220b1150fd87372",
    "2026-11.8": "af396b22f802973a541b4e464880debcf16624d8dfb7ac4c807abd9782aca0a5",
    "2026-11.9": "ab9b16b995127631ec05071b5c891561dcfcce7ec531b00ab2cb14e3d17fe9cc",
    "2026-11.10": "c16201f41d289c988303d479f0dac972d5e0b2900a351e228c74068142b5e98a",
    "2026-11.11": "4a651b98a6c2b1b8153267523fd8d5d70fe98774ccdb07edac8fdacd92732353",
    "2026-11.12": "0af88b455d02c9d70473be7ca1dd9fb2d14f94eb895296c577ca2a95709a26d3",
    "2026-12.1": "84f444bdebba03f1745dd7d5d55e1166a4f6a64f99d8ed86d52eda0b993c25fe",
    "2026-12.2": "10c97c3c7a9a122ce01973dbdcab9ce20592d8c135b32c5470ba1c1497845d66",
}

BANK = Client(
    client_id=ClientId("bank"),
    name=Text(zh="甲銀行", en="First Sample Bank"),
    registered_id="00000000",
    registered_on=date(2025, 3, 1),
    contact_phone="02-0000-0000",
    contact_email="privacy@bank.example",
    privacy_url="https://bank.example/privacy",
    redirect_uris=("https://bank.example/callback",),
    security_event_endpoint=None,
    purposes={
        "loan": Purpose(
            id="loan",
            text=Text(zh="審核您的貸款申請", en="To decide on your loan"),
            datasets={},
            use_until_days=30,
            erase_by_days=90,
            passed_on_to=(Text(zh="聯徵中心", en="Credit Centre"),),
        )
    },
    policy=FAPI2,
    jwks=None,
    jwks_uri=None,
    suspended=False,
)


@pytest.fixture(autouse=True)
def time_stands_still() -> Iterator[None]:
    with clock.frozen(NOW):
        yield


def wanted(
    dataset_id: str, required: tuple[str, ...], optional: tuple[str, ...] = (), **parameters: str
) -> RequestedDataset:
    return RequestedDataset(
        dataset_id=DatasetId(dataset_id),
        purpose_id="loan",
        fields_required=required,
        fields_optional=optional,
        parameters=tuple(sorted(parameters.items())),
        recipient_jwk={},
    )


INCOME = wanted("fia.income", ("name", "national_id", "total_income"), ("payers",), tax_year="113")
PREMIUMS = wanted("nhi.premiums", (), ("name", "national_id", "period_from"), period="2025-01/2025-12")


def pending(
    *datasets: RequestedDataset, previous: list[dict[str, Any]] | None = None, **changes: Any
) -> PendingRequest:
    parameters = AuthorizationParameters(
        redirect_uri="https://bank.example/callback", scopes=("openid",), datasets=datasets, code_challenge="x"
    )
    return PendingRequest(
        request_id="r" * 43,
        transaction_id="T7K2M-9QXA-4F3C",
        client_id="bank",
        citizen_id=1,
        parameters=replace(parameters, **changes),
        pushed_at=NOW,
        started_at=NOW,
        deadline_at=NOW + timedelta(minutes=20),
        previous=previous,
    )


@pytest.fixture
def notice(catalogue: Catalogue) -> Notice:
    return compose(pending(INCOME, PREMIUMS), BANK, catalogue, locale="en")


def test_words_and_version_go_together() -> None:
    assert WORDS[VERSION] == sha256(orjson.dumps(dict(SENTENCES), option=orjson.OPT_SORT_KEYS)).hexdigest()


def test_the_same_request_gives_the_same_digest(catalogue: Catalogue, notice: Notice) -> None:
    again = compose(pending(INCOME, PREMIUMS), BANK, catalogue, locale="en")
    assert again.sha256 == notice.sha256
    assert len(notice.sha256) == 43


@pytest.mark.parametrize(("at_counter", "waits"), [(False, "You need not wait"), (True, "says when to go")])
def test_who_goes_to_a_counter_is_not_told_that_the_data_goes_there_by_itself(
    catalogue: Catalogue, at_counter: bool, waits: str
) -> None:
    notice = compose(pending(INCOME, at_counter=at_counter), BANK, catalogue, locale="en")
    (income,) = notice.content["needed"]["datasets"]
    assert waits in income["wait"]
    assert (notice.content["desk"] is not None) == at_counter


def test_more_time_changes_nothing_in_it(catalogue: Catalogue, notice: Notice) -> None:
    later = replace(pending(INCOME, PREMIUMS), deadline_at=NOW + timedelta(hours=1))
    assert compose(later, BANK, catalogue, locale="en").sha256 == notice.sha256


@pytest.mark.parametrize(
    "change",
    [
        {"name": Text(zh="甲銀行", en="Second Sample Bank")},
        {"registered_id": "11111111"},
        {"contact_phone": "02-1111-1111"},
        {"privacy_url": "https://bank.example/other"},
    ],
)
def test_whatever_is_shown_is_in_the_digest(catalogue: Catalogue, notice: Notice, change: dict[str, Any]) -> None:
    assert compose(pending(INCOME, PREMIUMS), replace(BANK, **change), catalogue, locale="en").sha256 != notice.sha256


@pytest.mark.parametrize(
    "other",
    [
        pending(INCOME),
        pending(PREMIUMS, INCOME),
        pending(replace(INCOME, parameters=(("tax_year", "112"),)), PREMIUMS),
        pending(replace(INCOME, fields_optional=()), PREMIUMS),
        pending(INCOME, PREMIUMS, scopes=("openid", "profile")),
        pending(INCOME, PREMIUMS, claims={"userinfo": {"email": None}}),
        pending(INCOME, PREMIUMS, redirect_uri="https://other.example/callback"),
        pending(INCOME, PREMIUMS, previous=[{"dataset": "fia.income", "fields": [], "parameters": {}}]),
        replace(pending(INCOME, PREMIUMS), started_at=NOW + timedelta(days=1)),
    ],
    ids=["less", "order", "parameters", "fields", "scopes", "claims", "redirect", "previous", "day"],
)
def test_what_makes_another_notice_is_not_answered_from_memory(
    catalogue: Catalogue, notice: Notice, other: PendingRequest
) -> None:
    assert compose(other, BANK, catalogue, locale="en").sha256 != notice.sha256
    assert basis(other) != basis(pending(INCOME, PREMIUMS))


def test_what_does_not_show_does_not_make_another_notice() -> None:
    assert basis(replace(pending(INCOME), request_id="s" * 43, citizen_id=2)) == basis(pending(INCOME, state="other"))


def test_each_language_has_a_digest_of_its_own(catalogue: Catalogue, notice: Notice) -> None:
    chinese = compose(pending(INCOME, PREMIUMS), BANK, catalogue, locale="zh-TW")
    assert chinese.sha256 != notice.sha256
    assert chinese.content["title"] == "要把您的資料提供給甲銀行嗎？"
    assert notice.content["title"] == "Share your data with First Sample Bank?"


def test_what_was_hashed_can_be_recorded(notice: Notice) -> None:
    recorded = orjson.loads(orjson.dumps(notice.to_json()))
    assert recorded == notice.to_json()
    assert (recorded["version"], recorded["locale"]) == (VERSION, "en")


def test_the_purpose_is_the_registered_text_word_for_word(notice: Notice) -> None:
    assert notice.content["why"]["text"] == "To decide on your loan"


def test_what_a_dataset_is_for_is_the_registered_text_word_for_word(catalogue: Catalogue, notice: Notice) -> None:
    text = Text(zh="核對您的還款能力", en="To see what you can {pay} back")
    reason = PurposeDataset(fields_required=frozenset(), fields_optional=frozenset(), parameters={}, justification=text)
    loan = replace(BANK.purposes["loan"], datasets={DatasetId("fia.income"): reason})
    told = compose(pending(INCOME, PREMIUMS), replace(BANK, purposes={"loan": loan}), catalogue, locale="en")
    needed, optional = told.content["needed"]["datasets"], told.content["optional"]["datasets"]
    assert needed[0]["why"] == "What for: To see what you can {pay} back"
    assert [item["why"] for item in optional if item["name"] != needed[0]["name"]] == [None]
    assert told.sha256 != notice.sha256


def test_who_asks_is_told_by_what_the_operator_registered(notice: Notice) -> None:
    who = notice.content["who"]
    assert who["name"] == "First Sample Bank"
    assert [value for _, value in who["facts"]] == ["00000000", "1 March 2025", "02-0000-0000"]


def test_required_fields_are_a_list_and_optional_ones_are_offered(notice: Notice) -> None:
    (income,) = notice.content["needed"]["datasets"]
    assert [field["name"] for field in income["fields"]] == ["Name", "National ID number", "Total income"]
    more, premiums = notice.content["optional"]["datasets"]
    assert (more["more_of"], [field["id"] for field in more["optional_fields"]]) == (
        'More of "Personal income"',
        ["payers"],
    )
    assert premiums["more_of"] == "Premium payments"


def test_of_an_optional_dataset_what_always_goes_along_is_said_and_not_offered(notice: Notice) -> None:
    premiums = notice.content["optional"]["datasets"][1]
    assert [field["id"] for field in premiums["optional_fields"]] == ["period_from"]
    assert premiums["always"] == "Sent along with anything that you tick: Name, National ID number"


def test_parameters_are_told_as_people_read_them(notice: Notice) -> None:
    (income,) = notice.content["needed"]["datasets"]
    assert income["parameters"] == [["Tax year", "2024 (ROC year 113)"]]


def test_sensitive_fields_are_marked(notice: Notice) -> None:
    (income,) = notice.content["needed"]["datasets"]
    assert [field["sensitivity"] for field in income["fields"]] == [None, "sensitive", "sensitive"]


def test_the_three_times_count_from_the_day_in_taiwan_on_which_it_was_opened(catalogue: Catalogue) -> None:
    evening = replace(pending(INCOME), started_at=datetime(2026, 11, 23, 20, 0, tzinfo=UTC))  # the 24th in Taiwan
    notice = compose(evening, BANK, catalogue, locale="en")
    assert notice.content["times"]["lines"] == [
        "We fetch it once, now",
        "They may use it until 24 December 2026",
        "They must erase it by 22 February 2027",
    ]
    assert (notice.use_until, notice.erase_by) == (date(2026, 12, 24), date(2027, 2, 22))


def test_from_where_to_whom_and_on_to_whom(notice: Notice) -> None:
    agencies, recipient, onward = (values for _, values in notice.content["route"]["lines"])
    assert agencies == [
        "Fiscal Information Agency, Ministry of Finance",
        "National Health Insurance Administration, Ministry of Health and Welfare",
    ]
    assert recipient == ["First Sample Bank"]
    assert onward == ["Credit Centre"]


def test_a_slow_dataset_tells_the_typical_wait(notice: Notice) -> None:
    (income,) = notice.content["needed"]["datasets"]
    assert income["wait"].startswith("This usually takes about 2 hours")


def test_a_dataset_of_a_suspended_agency_is_told_with_the_reason(catalogue: Catalogue) -> None:
    notice = compose(pending(INCOME, PREMIUMS), BANK, catalogue, locale="en", suspended={"fia"})
    (income,) = notice.content["needed"]["datasets"]
    assert "this platform provides no data from Fiscal Information Agency" in income["unavailable"]
    assert notice.unavailable == (0,)
    assert notice.content["optional"]["datasets"][1]["unavailable"] is None


def test_who_encrypts_is_told_truly(catalogue: Catalogue, notice: Notice) -> None:
    assert notice.content["never"]["lines"][2].endswith("only First Sample Bank can open it.")
    plain = compose(pending(INCOME, PREMIUMS), BANK, catalogue, locale="en", unencrypting={"nhi", "ris"})
    assert "Exception: National Health Insurance Administration" in plain.content["never"]["lines"][2]
    assert "Household" not in plain.content["never"]["lines"][2]


@pytest.mark.parametrize(
    ("before", "lines"),
    [
        ([], None),
        (
            [{"dataset": "fia.income", "fields": ["name", "national_id"], "parameters": {"tax_year": "112"}}],
            ['More of "Personal income": Total income', '"Personal income" is now for 2024 (ROC year 113)'],
        ),
        (
            [{"dataset": "ris.personal", "fields": ["name"], "parameters": {}}],
            ['"Personal income" is new', '"Personal household registration" is no longer asked for'],
        ),
        (
            [
                {
                    "dataset": "fia.income",
                    "fields": ["name", "national_id", "total_income"],
                    "parameters": {"tax_year": "113"},
                }
            ],
            ["it asks for the same data"],
        ),
    ],
)
def test_what_changed_since_last_time_is_marked(
    catalogue: Catalogue, before: list[dict[str, Any]], lines: list[str] | None
) -> None:
    changes = compose(pending(INCOME, previous=before), BANK, catalogue, locale="en").content["changes"]
    assert (changes and changes["lines"]) == (lines or None)


def test_what_is_learnt_about_the_citizen_is_told(catalogue: Catalogue) -> None:
    asked = pending(INCOME, scopes=("openid", "email"), claims={"userinfo": {"name": None}, "id_token": {"x": None}})
    identity = compose(asked, BANK, catalogue, locale="en").content["identity"]
    assert identity["lines"][1:] == ["Your name", "Your e-mail address"]
    assert compose(pending(INCOME, scopes=()), BANK, catalogue, locale="en").content["identity"] is None


def test_a_request_for_identity_alone_speaks_of_no_data(catalogue: Catalogue) -> None:
    notice = compose(pending(), BANK, catalogue, locale="en")
    assert notice.content["title"] == "Sign in to First Sample Bank with this service?"
    assert notice.content["why"] is notice.content["times"] is None
    assert notice.use_until is notice.erase_by is None


@pytest.mark.parametrize(
    ("uri", "place"),
    [("https://bank.example:8443/cb?x=1", "(bank.example:8443)"), ("com.example.bank:/cb", "the app of")],
)
def test_where_one_goes_next_is_told_before(catalogue: Catalogue, uri: str, place: str) -> None:
    assert place in compose(pending(INCOME, redirect_uri=uri), BANK, catalogue, locale="en").content["leaving"]
