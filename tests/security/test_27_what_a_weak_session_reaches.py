"""Class 27, for the weakest session: what an e-mail code alone reaches, by the server's own map of addresses.

Where it happened: authentik CVE-2026-55106, Keycloak CVE-2026-4636. It reads what is the citizen's own, and does what
protects them. Whatever shares data, or weakens what protects it, sends to a sign-in that suffices and changes nothing.
"""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session
from werkzeug.routing import Rule

from authz_server.core import clock
from authz_server.identity import sessions
from authz_server.identity.models import Citizen
from tests.support.belongings import Belongings, addresses, belongings
from tests.support.platform import CitizenBrowser, Platform, hidden_fields
from tests.support.protocol import everything, rows

READ = {
    "account.hub", "account.language", "audit.record", "consents.index", "consents.show", "contact.show",
    "export.as_csv", "export.as_json", "export.page", "leave.consequences", "messages.choices", "messages.message",
    "messages.messages", "methods.listed", "office.listed", "outcome.show", "password_totp.overview",
    "receipts.as_json", "receipts.as_pdf", "sessions.listed",
}  # fmt: skip
# Stop, freeze, have erased, report, sign out; the language; time to read, before the sign-in that is demanded.
PROTECT = {
    "account.choose_language", "consent.extend", "erasure.ask", "erasure.request_erasure", "freeze.ask_to_freeze",
    "freeze.freeze", "identity.submit_sign_out", "messages.read_all", "outcome.ask_to_stop", "outcome.stop",
    "report.prepare", "report.report", "sessions.end",
}  # fmt: skip
# Shown with what the session lacks, or lead to where that is asked; their forms change nothing.
ASK_FOR_MORE = {
    "contact.ask", "contact.propose", "contact.ask_code", "contact.verify", "contact.ask_to_remove", "contact.remove",
    "counter.ask", "counter.service", "desk.page", "desk.start", "download.ask",
    "download.basket", "freeze.ask_to_unfreeze", "freeze.unfreeze", "leave.ask", "leave.leave",
}  # fmt: skip
SENT_TO_SIGN_IN = {
    "certificate.set_up", "certificate.set_up_by_connection", "consent.decide", "consent.page", "messages.choose",
    "correction.ask", "correction.send", "fetching.page", "fetching.tokens",
    "visit.page", "visit.picture", "visit.show_barcode", "visit.state",
    "agent.open_invitation", "agent.page", "agent.picture", "agent.start", "agent.state", "agent.take_step",
    "delegation.page", "delegation.take_step",
    "office.change", "office.people",
    "methods.ask_to_remove", "methods.remove", "passkey.add", "passkey.ask_for_new", "passkey.show_set_up",
    "password_totp.change_authenticator", "password_totp.change_password", "password_totp.renew_recovery_codes",
    "upstream.set_up",
}  # fmt: skip


@pytest.fixture
def mine(own_platform: Platform) -> Belongings:
    """Somebody with something of every kind."""
    return belongings(own_platform)


def weak(platform: Platform, citizen_id: int) -> CitizenBrowser:
    """A browser of theirs that an e-mail code has opened."""
    browser = platform.citizen(signed_in=False)
    proof: Any = {"level": 5, "amr": ("otp",), "method": "email_code"}
    with Session(platform.engine) as session, session.begin():
        browser.client.set_cookie("__Host-mydata", sessions.open_session(session, citizen_id, now=clock.now(), **proof))
    return browser


def of_citizens(app: Flask, endpoints: set[str]) -> list[tuple[Rule, str]]:
    return [(rule, method) for rule, method in addresses(app) if rule.endpoint in endpoints]


def test_it_reads_what_is_the_citizen_s_own(own_platform: Platform, mine: Belongings) -> None:
    browser = weak(own_platform, mine.citizen_id)
    for rule, method in of_citizens(own_platform.app, READ):
        if rule.endpoint == "password_totp.overview":
            continue  # this citizen has no password
        assert browser.client.open(mine.path(rule), method=method).status_code == 200, rule.rule


def test_whatever_shares_data_or_weakens_protection_wants_more_and_changes_nothing(
    own_platform: Platform, mine: Belongings
) -> None:
    browser = weak(own_platform, mine.citizen_id)
    actions = {
        "consent.decide": f"consent:{mine.ids['request_id']}",
        "contact.propose": "contact:email",
        "leave.leave": "leave",
        "messages.choose": "notices",
        "methods.remove": f"remove-method:{mine.ids['credential_id']}",
        "password_totp.renew_recovery_codes": "method:password_totp",
    }
    fields = hidden_fields(mine.browser.client.get(f"/consent/{mine.ids['request_id']}").text)
    fields |= {"decision": "approve", "value": "thief@elsewhere.example", "code": "000000", "channel": "email"}
    with clock.frozen(clock.now()):
        before = everything(own_platform)
        for rule, method in of_citizens(own_platform.app, SENT_TO_SIGN_IN | ASK_FOR_MORE):
            form = fields | {"csrf": browser.csrf(actions.get(rule.endpoint, "x"))}
            answer = browser.client.open(mine.path(rule), method=method, data=form if method == "POST" else None)
            told = f"{method} {rule.rule}: {answer.status} {answer.location}"
            if rule.endpoint in ASK_FOR_MORE:
                assert answer.status_code in {200, 303, 400, 403, 404}, told
                continue
            assert str(answer.location).startswith("/sign-in?"), told
            shown = browser.client.get(answer.location)
            assert (shown.status_code, "email_code" in shown.text) == (200, False), told
        assert everything(own_platform) == before


def test_it_stops_a_consent_and_everything_but_opens_nothing_again(own_platform: Platform, mine: Belongings) -> None:
    browser = weak(own_platform, mine.citizen_id)
    stop = f"/consent/{mine.ids['transaction_id']}/stop"
    assert browser.client.post(stop, data=hidden_fields(browser.client.get(stop).text)).status_code == 303
    freeze, unfreeze = "/account/freeze", "/account/unfreeze"
    assert browser.client.post(freeze, data=hidden_fields(browser.client.get(freeze).text)).status_code == 303
    assert rows(own_platform, Citizen, id=mine.citizen_id)[0].frozen_at is not None
    page = browser.client.get(unfreeze)
    answer = browser.client.post(unfreeze, data=hidden_fields(page.text))
    assert answer.status_code in {303, 403}
    assert rows(own_platform, Citizen, id=mine.citizen_id)[0].frozen_at is not None


def test_a_stronger_proof_in_that_session_goes_on_with_the_request(own_platform: Platform) -> None:
    (row,) = rows(own_platform, Citizen, username="citizen1")
    citizen = weak(own_platform, row.id)
    page = citizen.authorize(own_platform.bank.client_id, own_platform.bank.push())
    assert page.status_code == 200
    assert "code=" in citizen.decide(page).location
