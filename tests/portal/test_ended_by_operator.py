"""What an operator ends in the place of a citizen: at once, recorded as theirs, and told to the citizen as it was."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from authz_server import worker
from authz_server.audit.models import AuditEntry
from authz_server.cli import cli
from authz_server.consent.errors import NoSuchConsent
from authz_server.core import clock, transfers
from authz_server.identity.errors import AccountProblem
from tests.portal.test_stop import Given
from tests.support.commands import settings_file
from tests.support.platform import Platform
from tests.support.protocol import rows, userinfo

Run = Callable[..., Result]


@pytest.fixture
def run(own_platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with the settings of the platform's server."""
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(own_platform.settings, tmp_path)))
    return lambda *arguments: CliRunner().invoke(cli, arguments)


def test_a_consent_ends_at_once_and_its_citizen_reads_by_whom_and_why(own_platform: Platform, run: Run) -> None:
    given = Given(own_platform, "ris.personal")
    (fetch,) = given.redeem()
    result = run("consent", "revoke", given.reference, "--reason", "misuse")
    assert result.exit_code == 0, result.output
    assert fetch.exchange().status_code == 400
    assert own_platform.proxy.post("/introspect", {"token": fetch.token}).get_json() == {"active": False}
    assert userinfo(own_platform.bank, given.tokens["access_token"]).status_code == 401
    assert "consent.withdrawn  operator" in given.events()
    assert "Ended by the operator of this platform" in given.read("/consents?lang=en&state=history")
    page = given.read(f"/consents/{given.reference}?lang=en")
    assert "Your consent was ended by another party" in page
    assert "Because of suspected misuse by the recipient." in page
    assert "You stopped" not in page + given.read()
    receipt = given.citizen.client.get(f"/consent/{given.reference}/receipt.json").get_json()["receipt"]
    assert receipt["event"][1]["entity_id"] == own_platform.settings.issuer


def test_no_other_consent_ends_with_it(own_platform: Platform, run: Run) -> None:
    ended, other = Given(own_platform, "ris.personal"), Given(own_platform, "ris.personal")
    run("consent", "revoke", ended.reference, "--reason", "misuse")
    assert [given.events()[-1] for given in (ended, other)] == [
        "consent.withdrawn  operator",
        "consent.approved  citizen",
    ]
    assert [fetch.exchange().status_code for fetch in other.redeem()] == [200]


def test_it_is_told(own_platform: Platform, run: Run) -> None:
    given = Given(own_platform, "ris.personal")
    run("consent", "revoke", given.reference, "--reason", "on_request")
    worker.tick(own_platform.engine, now=clock.now())
    (entry,) = rows(own_platform, AuditEntry, event="consent.withdrawn")
    assert "Ended by</dt><dd>The operator of this platform" in given.read(f"/messages/{entry.id}?lang=en").replace(
        "</dt> <dd>", "</dt><dd>"
    )


def test_what_has_ended_or_never_was_is_refused(own_platform: Platform, run: Run) -> None:
    given = Given(own_platform, "ris.personal")
    given.stop()
    for reference in (given.reference, "T0000-0000-0000"):
        result = run("consent", "revoke", reference, "--reason", "mistake")
        assert isinstance(result.exception, NoSuchConsent)
    assert "Stopped by you" in given.read("/consents?lang=en&state=history")
    assert run("consent", "revoke", given.reference, "--reason", "because").exit_code == 2


def test_an_account_is_frozen_and_opened_again(own_platform: Platform, run: Run) -> None:
    given = Given(own_platform, "ris.personal")
    (fetch,) = given.redeem()
    assert run("citizen", "freeze", "citizen1").exit_code == 0
    assert fetch.exchange().status_code == 400
    assert run("citizen", "unfreeze", "citizen1").exit_code == 0
    assert isinstance(run("citizen", "unfreeze", "citizen1").exception, AccountProblem)
    assert isinstance(run("citizen", "freeze", "nobody").exception, AccountProblem)
    entries = [entry for entry in rows(own_platform, AuditEntry) if entry.event.startswith("account.")]
    assert [(entry.event, entry.actor) for entry in entries[-2:]] == [
        ("account.frozen", "operator"),
        ("account.unfrozen", "operator"),
    ]
    given.citizen = own_platform.citizen("citizen1")
    assert "The operator unfroze your account" in given.read("/record?lang=en")


def test_an_account_is_said_to_be_erased_only_once_nothing_more_of_it_can_leave(
    own_platform: Platform, run: Run
) -> None:
    given = Given(own_platform, "ris.personal")
    (fetch,) = given.redeem()
    lease = fetch.exchange().get_json()["lease"]
    assert own_platform.proxy.report(lease, "delivering").status_code == 204
    with clock.frozen(clock.now()):
        before = clock.now()
        result = run("citizen", "erase", "citizen1", "--yes")
        assert (result.exit_code, result.output) == (0, "citizen citizen1 erased\n")
        assert clock.now() - before >= timedelta(seconds=transfers.OVER_AFTER_S)
    assert own_platform.proxy.report(lease, "continuing").status_code == 409
    assert isinstance(run("citizen", "erase", "citizen1", "--yes").exception, AccountProblem)


@pytest.mark.parametrize(("kind", "name"), [("client", "first-bank"), ("agency", "ris"), ("dataset", "ris.personal")])
def test_every_switch_is_on_the_record_and_bites_at_the_next_check(
    own_platform: Platform, run: Run, kind: str, name: str
) -> None:
    fetches = [*Given(own_platform, "ris.personal").redeem(), *Given(own_platform, "ris.personal").redeem()]
    lease = fetches[0].exchange().get_json()["lease"]
    name = own_platform.bank.client_id if kind == "client" else name
    assert run(kind, "suspend", name).exit_code == 0
    assert own_platform.proxy.report(lease, "delivering").status_code == 409
    assert fetches[1].exchange().status_code == 400
    assert own_platform.proxy.post("/introspect", {"token": fetches[1].token}).get_json() == {"active": False}
    assert run(kind, "resume", name).exit_code == 0
    assert fetches[1].exchange().status_code == 200
    for event in (f"{kind}.suspended", f"{kind}.resumed"):
        (entry,) = rows(own_platform, AuditEntry, event=event)
        assert (entry.actor, entry.citizen_id, getattr(entry, f"{kind}_id")) == ("operator", None, name)
