"""Which tests of a run meet which database."""

from collections.abc import Sequence

import pytest

# Pages, letters and messages of the protocol, whose statements are few and plain.
BY_TURNS = (
    "tests/conformance/",
    "tests/consent/",
    "tests/identity/",
    "tests/notices/",
    "tests/portal/",
    "tests/security/",
)
# Among them what a statement decides: that something happens once, ends for good, is refused from then on, or is
# somebody else's; what is found by an index; and who waits for whom, or comes at once with others, whom SQLite lets in
# one after the other. These modules and tests meet both databases, as all else does, and every race.
DECIDED = (
    "tests/consent/test_anomalies.py",
    "tests/consent/test_first_use.py",
    "tests/consent/test_history.py",
    "tests/consent/test_remembered.py",
    "tests/identity/test_contact.py",
    "tests/identity/test_credentials.py",
    "tests/identity/test_lockout.py",
    "tests/identity/test_passkey.py::test_who_adds_a_passkey_while_they_leave_",
    "tests/identity/test_sessions.py",
    "tests/identity/test_step_up.py::test_a_freeze_in_the_moment_of_",
    "tests/identity/test_step_up.py::test_an_account_that_is_shut_in_the_moment_of_",
    "tests/identity/test_upstream.py::test_an_account_that_is_suspended_in_the_moment_of_",
    "tests/notices/test_announce.py",
    "tests/notices/test_contact.py::test_of_guesses_at_the_same_moment_",
    "tests/notices/test_not_me.py",
    "tests/notices/test_processes.py",
    "tests/portal/test_correction.py",
    "tests/portal/test_download.py::test_of_many_pages_at_once_",
    "tests/portal/test_ended_by_operator.py",
    "tests/portal/test_erasure.py",
    "tests/portal/test_freeze.py",
    "tests/portal/test_leave.py",
    "tests/portal/test_preparation.py::test_ready_many_times_and_stopped_in_one_moment_",
    "tests/portal/test_renewal.py::test_who_renews_an_authenticator_while_they_leave_",
    "tests/portal/test_stop.py",
    "tests/security/test_01_a_secret_of_another_kind.py",
    "tests/security/test_04_every_revocation_policy.py",
    "tests/security/test_26_somebody_elses_objects.py",
)
KINDS = ("sqlite", "postgresql")
_ASKED_OF = ("database_url", "platform")  # the fixtures that there are for both


def by_turns(items: Sequence[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """The tests to run, and those to leave: of a test of pages that is there for both databases, one of the two.

    In each module the first such test meets one database, the second the other, and so on.
    """
    modules: dict[str, dict[str, dict[str, str]]] = {}
    for item in items:
        kind = _kind_of(item)
        module, _, test = item.nodeid.partition("::")
        if kind is not None and module.startswith(BY_TURNS) and not item.nodeid.startswith(DECIDED):
            modules.setdefault(module, {}).setdefault(test.replace(kind, ""), {})[kind] = item.nodeid
    left = set()
    for tests in modules.values():
        # A test that is there for one database alone has no other that could stand for it.
        twins = [met for met in tests.values() if len(met) == len(KINDS)]
        left |= {met[KINDS[(number + 1) % len(KINDS)]] for number, met in enumerate(twins)}
    return [item for item in items if item.nodeid not in left], [item for item in items if item.nodeid in left]


def _kind_of(item: pytest.Item) -> str | None:
    """The database that a test meets, if it is no race."""
    asked: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
    found = [value for name in _ASKED_OF if (value := asked.get(name)) in KINDS]
    return str(found[0]) if found and item.get_closest_marker("race") is None else None
