"""Downloads: the citizen's browser as a client: chosen, agreed to, redeemed once, by the session that agreed alone."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from jwcrypto import jwe, jwk
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server.audit.models import AuditEntry
from authz_server.catalogue.parameters import this_year
from authz_server.clients import own, service
from authz_server.clients.document import Context, RegistrationError
from authz_server.consent.models import AuthorizationCode, AuthorizationRequest, Consent
from authz_server.core import clock, jose
from authz_server.core.identifiers import AgencyId
from authz_server.tokens.models import AccessToken, DatasetToken
from tests.support.platform import (
    ASSERTION_TYPE,
    CitizenBrowser,
    Platform,
    hidden_fields,
    new_key,
    public_members,
)
from tests.support.protocol import WAYS_TO_SHUT_OUT, rows, shut_out_once_seen

BASKET = "/download/basket"


class Given:
    """A download that citizen1 agreed to, and the keys of the page."""

    def __init__(self, platform: Platform, *datasets: str, **parameters: str) -> None:
        self.platform = platform
        self.citizen = platform.citizen()
        self.proof_key, self.recipient = new_key(), new_key("ECDH-ES")
        page = ask(self.citizen, *datasets, **parameters)
        assert page.status_code == 303, page.text
        self.question = self.citizen.client.get(page.location)
        self.decided = self.citizen.decide(self.question)
        self.path = self.decided.location
        self.reference = self.path.rsplit("/", 1)[-1]

    def form(self, citizen: CitizenBrowser | None = None) -> dict[str, str]:
        """The form of the page, as if it had been given to this citizen's browser."""
        token = (citizen or self.citizen).csrf(f"download:{self.reference}")
        return {"csrf": token, "recipient_jwk": orjson.dumps(public_members(self.recipient)).decode()}

    def redeem(self, citizen: CitizenBrowser | None = None, *, proof: str | None = None, **form: str) -> TestResponse:
        """What the page's script posts."""
        url = f"{self.platform.settings.issuer}{self.path}/tokens"
        proof = proof or self.platform.bank.proof("POST", url, key=self.proof_key)
        who = citizen or self.citizen
        return who.client.post(f"{self.path}/tokens", data=self.form(citizen) | form, headers={"DPoP": proof})

    def tokens(self) -> list[dict[str, Any]]:
        answer = self.redeem()
        assert answer.status_code == 200, answer.text
        details: list[dict[str, Any]] = answer.get_json()["authorization_details"]
        return details


def ask(citizen: CitizenBrowser, *datasets: str, **parameters: str) -> TestResponse:
    """Send the form of the basket; `fia_income__tax_year` is a field of it."""
    page = citizen.client.get(BASKET, query_string={"dataset": datasets})
    fields = {name.replace("__", "/").replace("_", ".", 1): value for name, value in parameters.items()}
    return citizen.client.post(BASKET, query_string={"dataset": datasets}, data=hidden_fields(page.text) | fields)


def test_the_catalogue_is_shown_to_anybody_and_found_in_by_words_of_both_languages(platform: Platform) -> None:
    browser = platform.browser()
    page = browser.get("/download?lang=en").text
    assert page.count('name="dataset"') == len(platform.catalogue.scopes)
    found = browser.get("/download", query_string={"q": "提繳 Contributions", "dataset": "ris.personal"}).text
    assert re.findall(r'name="dataset" value="([^"]+)"[^>]*?( checked)?>', found) == [
        ("ris.personal", " checked"),
        ("bli.contributions", ""),
    ]
    assert 'id="continue"' in found
    nothing = browser.get("/download", query_string={"q": "xyzzy", "lang": "en"}).text
    assert "Nothing was found" in nothing
    assert 'id="continue"' not in nothing, "there is nothing to go on with"


def test_what_is_suspended_is_said_to_be_and_can_not_be_chosen(own_platform: Platform) -> None:
    with Session(own_platform.engine) as session, session.begin():
        service.suspend_dataset(session, "ris.kinship", catalogue=own_platform.catalogue, now=clock.now())
        service.suspend_agency(session, "nhi", now=clock.now())
    own_platform.app.extensions["mydata"].registry.reload()
    page = own_platform.browser().get("/download?lang=en").text
    assert page.count("This platform does not provide it at present.") == 3
    assert "maintenance" not in page
    assert own_platform.browser().get("/download?lang=zh-TW").text.count("本平臺目前不提供這項資料。") == 3
    closed = re.findall(r'value="([^"]+)"[^>]* disabled>', page)
    assert closed == ["nhi.enrolment", "nhi.premiums", "ris.kinship"]
    refused = own_platform.citizen().client.get(BASKET + "?lang=en&dataset=ris.kinship&dataset=nhi.premiums")
    assert refused.status_code == 400
    names = [own_platform.catalogue.dataset(name).name.en for name in ("ris.kinship", "nhi.premiums")]
    assert f"Not available at present: {', '.join(names)}." in refused.text


@pytest.mark.parametrize(
    ("datasets", "said"),
    [
        ((), "Choose what you want"),
        (("no.such",), "Choose what you want"),
        (("ris.personal", "ris.kinship", "ris.household", "ris.marital-status", "bli.pension", "bli.enrolment"), "5"),
    ],
)
def test_a_basket_has_one_to_five_datasets(platform: Platform, datasets: tuple[str, ...], said: str) -> None:
    answer = platform.citizen().client.get(BASKET, query_string={"dataset": datasets, "lang": "en"})
    assert (answer.status_code, said in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("dataset", "parameters"),
    [
        ("fia.income", {}),
        ("fia.income", {"fia_income__tax_year": "999"}),
        ("bli.contributions", {"bli_contributions__period__first": "2025-05"}),
        (
            "bli.contributions",
            {"bli_contributions__period__first": "2025-05", "bli_contributions__period__last": "2025-01"},
        ),
        ("land.cadastre", {"land_cadastre__county": "x"}),
        ("land.cadastre", {"land_cadastre__county": "臺北市", "land_cadastre__town": "<b>"}),
    ],
)
def test_parameters_are_asked_again_until_they_are_right(
    platform: Platform, dataset: str, parameters: dict[str, str]
) -> None:
    before = len(rows(platform, AuthorizationRequest, client_id=own.CLIENT_ID))
    answer = ask(platform.citizen(), dataset, **parameters)
    assert answer.status_code == 400
    assert "govuk-error-summary" in answer.text
    assert len(rows(platform, AuthorizationRequest, client_id=own.CLIENT_ID)) == before


@pytest.mark.parametrize(("lang", "colon"), [("en", ": "), ("zh-TW", "：")])
def test_the_summary_tells_apart_what_is_missing_of_several_datasets(platform: Platform, lang: str, colon: str) -> None:
    citizen = platform.citizen()
    citizen.client.get(f"/?lang={lang}")
    page = ask(citizen, "fia.house-tax", "land.tax-payment").text
    summary = re.findall(r'<li><a href="#([^"]+)">([^<]+)</a></li>', page)
    names = {name: platform.catalogue.dataset(name).name.get(lang) for name in ("fia.house-tax", "land.tax-payment")}
    year, *counties = summary
    assert (year[0], colon in year[1]) == ("fia.house-tax/tax_year", False)
    for (field, said), name in zip(counties, names, strict=True):
        assert field == f"{name}/county"
        assert said.startswith(names[name] + colon)


def test_the_fields_of_a_period_are_months_as_html_has_them(platform: Platform) -> None:
    """HTML Standard, section 4.10.5: a month has no `maxlength`."""
    page = ask(platform.citizen(), "bli.contributions").text
    months = re.findall(r'<input [^>]*type="month"[^>]*>', page)
    assert len(months) == 2
    assert not any("maxlength" in month for month in months)


def test_whoever_is_signed_out_while_the_basket_is_open_comes_back_to_what_was_chosen(platform: Platform) -> None:
    chosen = {"dataset": ("ris.personal", "fia.income")}
    citizen = platform.citizen()
    page = citizen.client.get(BASKET, query_string=chosen).text
    action = re.search(r'<form id="basket" method="post" action="([^"]+)"', page)
    assert action is not None
    citizen.client.delete_cookie("__Host-mydata")
    sent = citizen.client.post(unescape(action[1]), data=hidden_fields(page) | {"fia.income/tax_year": "113"})
    back = dict(parse_qsl(urlsplit(sent.location).query))["return_to"]
    assert platform.citizen().client.get(back).text.count('class="card"') == 2


def test_the_consent_is_to_oneself_and_names_nobody_else(platform: Platform) -> None:
    given = Given(platform, "ris.personal", "fia.income", fia_income__tax_year=str(this_year() - 1))
    page = " ".join(given.question.text.split())
    for words in (
        "Download your data?",
        "Nobody but you gets it",
        "only your browser can open it",
        "Agree and download",
    ):
        assert words in page
    for words in ("Registered ID", "They may use it until", "Privacy policy"):
        assert words not in page
    assert given.decided.location == f"/download/{given.reference}"
    (consent,) = rows(platform, Consent, transaction_id=given.reference)
    assert (consent.client_id, consent.use_until, consent.erase_by) == (own.CLIENT_ID, None, None)
    income = consent.granted[1]
    assert income["fields"] == list(platform.catalogue.dataset("fia.income").field_ids)
    assert income["recipient_jwk"] is None
    for address in (
        f"/consents/{given.reference}",
        f"/consent/{given.reference}/outcome",
        f"/consent/{given.reference}/stop",
    ):
        assert given.citizen.client.get(address).status_code == 200
    for kind in ("pdf", "json"):
        assert given.citizen.client.get(f"/consent/{given.reference}/receipt.{kind}").status_code == 200


def test_the_record_says_of_a_download_that_it_is_one(own_platform: Platform) -> None:
    given = Given(own_platform, "ris.personal")
    for path in ("/record", f"/consents/{given.reference}"):
        page = given.citizen.client.get(f"{path}?lang=en").text
        assert "You chose data to download" in page
        assert "You agreed to download your data" in page
        assert "share data with your own browser" not in page


def test_nobody_is_asked_to_report_or_to_stop_sharing_with_their_own_browser(own_platform: Platform) -> None:
    given = Given(own_platform, "ris.personal")
    client, consent = given.citizen.client, f"/consent/{given.reference}"
    assert "Report the recipient" not in client.get(f"/consents/{given.reference}?lang=en").text
    assert client.get(f"{consent}/report").status_code == 404
    assert client.post(f"{consent}/report", data={"csrf": "x"}).status_code == 404
    page = client.get(f"{consent}/stop?lang=en").text
    assert "Stop this download?" in page
    assert "has to ask you again" not in page
    assert "What you share" not in client.get(f"{consent}/outcome?lang=en").text


def test_a_level_that_is_too_low_is_stepped_up_first(platform: Platform) -> None:
    citizen = platform.citizen(level=4)
    answer = citizen.client.get(ask(citizen, "ris.id-card-image").location)
    assert (answer.status_code, answer.location.startswith("/sign-in?request=")) == (303, True)


def test_saying_no_leads_back_and_fetches_nothing(platform: Platform) -> None:
    citizen = platform.citizen()
    answer = citizen.decide(citizen.client.get(ask(citizen, "ris.personal").location), "deny")
    assert answer.status_code == 303
    back = citizen.client.get(answer.location.removeprefix(platform.settings.issuer))
    assert "You did not agree. Nothing was fetched." in back.text


def test_a_basket_that_another_site_sends_opens_nothing(platform: Platform) -> None:
    """Security line 11."""
    citizen = platform.citizen()
    before = len(rows(platform, AuthorizationRequest, client_id=own.CLIENT_ID))
    answer = citizen.client.post(f"{BASKET}?dataset=ris.personal", data={"csrf": "x"})
    assert answer.status_code == 403
    assert len(rows(platform, AuthorizationRequest, client_id=own.CLIENT_ID)) == before


def test_the_tokens_are_bound_to_both_keys_of_the_page_and_open_each_dataset_once(platform: Platform) -> None:
    given = Given(platform, "ris.personal", "bli.pension")
    details = given.tokens()
    assert [detail["dataset"] for detail in details] == ["ris.personal", "bli.pension"]
    assert rows(platform, AccessToken, client_id=own.CLIENT_ID) == []
    token, dataset = details[0]["access_token"], details[0]["dataset"]
    jkt = jose.thumbprint(public_members(given.proof_key))
    assert platform.proxy.exchange(token, dataset, jkt=jose.thumbprint(public_members(new_key()))).status_code == 400
    leased = platform.proxy.exchange(token, dataset, jkt=jkt)
    assert leased.status_code == 200
    ticket = opened(platform, "ris", leased.get_json()["access_token"])
    assert ticket["client_id"] == own.CLIENT_ID
    assert jose.thumbprint(ticket["recipient_jwk"]) == jose.thumbprint(public_members(given.recipient))
    assert platform.proxy.exchange(token, dataset, jkt=jkt).status_code == 400


def opened(platform: Platform, agency: str, ticket: str) -> dict[str, Any]:
    """The claims of a ticket, as its agency reads them."""
    key = jwk.JWK(**platform.agency_keys[AgencyId(agency)][1].native.as_dict(private=True))
    inner = jwe.JWE()
    inner.deserialize(ticket, key)
    return jose.unverified(inner.payload.decode(), max_bytes=len(inner.payload)).claims


def test_a_second_page_gets_nothing_and_ends_nothing(platform: Platform) -> None:
    given = Given(platform, "ris.personal")
    (detail,) = given.tokens()
    again = given.redeem()
    assert (again.status_code, again.get_json()["error"]) == (409, "used")
    jkt = jose.thumbprint(public_members(given.proof_key))
    assert platform.proxy.exchange(detail["access_token"], "ris.personal", jkt=jkt).status_code == 200
    page = given.citizen.client.get(given.path)
    assert "There is nothing to fetch here any more" in page.text
    assert 'href="/download?dataset=ris.personal"' in page.text


def test_nobody_else_and_no_other_sign_in_gets_tokens(platform: Platform) -> None:
    """Security lines 10, 11, 13 and 26."""
    given = Given(platform, "ris.personal")
    for other in (platform.citizen("citizen2"), platform.citizen()):
        answer = given.redeem(other)
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_grant")
    assert platform.citizen("citizen2").client.get(given.path).status_code == 404
    assert 'id="fetching"' not in platform.citizen().client.get(given.path).text
    anybody = platform.browser().post(f"{given.path}/tokens", data=given.form())
    assert (anybody.status_code, anybody.location.startswith("/sign-in")) == (303, True)
    assert given.redeem(csrf="x").status_code == 403
    assert given.redeem().status_code == 200


@pytest.mark.parametrize("shut", WAYS_TO_SHUT_OUT)
def test_who_is_shut_out_while_the_request_is_under_way_gets_no_tokens(
    own_platform: Platform, monkeypatch: pytest.MonkeyPatch, shut: str
) -> None:
    given = Given(own_platform, "ris.personal")
    shut_out_once_seen(monkeypatch, own_platform, "citizen1", shut)
    answer = given.redeem()
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_grant")
    assert rows(own_platform, DatasetToken) == []
    assert [code.used_at for code in rows(own_platform, AuthorizationCode)] == [None]


def test_what_is_no_proof_or_no_key_spends_nothing(platform: Platform) -> None:
    given = Given(platform, "ris.personal")
    elsewhere = platform.bank.proof("POST", f"{platform.settings.issuer}/token", key=given.proof_key)
    assert given.redeem(proof=elsewhere).get_json()["error"] == "invalid_dpop_proof"
    for wrong in ("", "[]", "{", '{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}', '{"kty":"oct","k":"AA"}'):
        assert given.redeem(recipient_jwk=wrong).get_json()["error"] == "invalid_request"
    assert given.redeem().status_code == 200


def test_a_consent_of_a_client_is_no_download(platform: Platform) -> None:
    citizen = platform.citizen()
    page = citizen.authorize(platform.bank.client_id, platform.bank.push(platform.detail("ris.personal")))
    reference = re.search(r"T[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", page.text)
    citizen.decide(page)
    assert reference is not None
    assert citizen.client.get(f"/download/{reference[0]}").status_code == 404


def test_time_runs_out_and_a_stop_counts(platform: Platform) -> None:
    given, stopped = Given(platform, "ris.personal"), Given(platform, "ris.personal")
    stop_page = f"/consent/{stopped.reference}/stop"
    form = hidden_fields(stopped.citizen.client.get(stop_page).text)
    assert stopped.citizen.client.post(stop_page, data=form).status_code == 303
    assert stopped.redeem().status_code == 400
    assert 'id="fetching"' not in stopped.citizen.client.get(stopped.path).text
    with clock.frozen(clock.now() + timedelta(seconds=platform.settings.limits.transaction_ttl_s - 60)):
        assert 'id="fetching"' in given.citizen.client.get(given.path).text
    with clock.frozen(clock.now() + timedelta(seconds=platform.settings.limits.transaction_ttl_s + 1)):
        assert given.redeem().status_code in {303, 400}


def test_of_many_pages_at_once_one_gets_the_tokens(platform: Platform) -> None:
    """Security line 2, for the one statement that spends the code."""
    given = Given(platform, "ris.personal", "bli.pension")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: given.redeem().status_code, range(8)))
    assert sorted(answers) == [200] + [409] * 7
    assert len(rows(platform, DatasetToken, transaction_id=given.reference)) == 2
    entries = [entry.event for entry in rows(platform, AuditEntry, transaction_id=given.reference)]
    assert sorted(entries).count("code.redeemed") == 1


def test_the_code_is_nowhere_but_in_the_session_that_derives_it(platform: Platform) -> None:
    """Security lines 10 and 25: nothing of it is in an address or an answer, only its digest is in the database."""
    given = Given(platform, "ris.personal")
    assert "mdc_" not in given.decided.location + given.decided.text
    (code,) = rows(platform, AuthorizationCode, transaction_id=given.reference)
    assert code.code_challenge == ""


def test_nobody_is_the_platforms_own_client(own_platform: Platform) -> None:
    """It can't be registered, it can't authenticate, and nothing can be asked for in its name."""
    document = own_platform.registration(own_platform.bank) | {"client_id": own.CLIENT_ID}
    with Session(own_platform.engine) as session:
        for replace in (False, True):
            with pytest.raises(RegistrationError, match="the platform's own"):
                service.register(
                    session,
                    document,
                    context=Context(own_platform.catalogue, sandbox=True),
                    now=clock.now(),
                    replace=replace,
                )
    bank = own_platform.bank
    for path in ("/par", "/token", "/introspect", "/revoke"):
        assertion = bank.assertion(iss=own.CLIENT_ID, sub=own.CLIENT_ID)
        form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, "token": "x"}
        form |= {"grant_type": "authorization_code"} if path == "/token" else {}
        answer = own_platform.browser().post(path, data=form)
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")


def test_the_operator_can_switch_downloads_off(own_platform: Platform) -> None:
    given = Given(own_platform, "ris.personal")
    with Session(own_platform.engine) as session, session.begin():
        service.suspend(session, own.CLIENT_ID, now=clock.now())
    own_platform.app.extensions["mydata"].registry.reload()
    assert given.redeem().status_code == 400
    citizen = own_platform.citizen()
    question = citizen.client.get(ask(citizen, "ris.personal").location or "/")
    assert "consent-approve" not in question.text
