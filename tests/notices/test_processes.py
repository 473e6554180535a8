"""Real workers: two at once, and one that is killed in the middle of sending."""

import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from authz_server import cli
from authz_server.core import clock
from authz_server.notices.outbox import LEASE
from client_examples.sandbox.settings import write_toml
from tests.notices.conftest import SENDER
from tests.notices.support import Hands
from tests.support.commands import started
from tests.support.smtp import PostOffice
from tests.support.waiting import wait_until

LETTERS = 40


def settings_of(hands: Hands, folder: Path) -> Path:
    """What a worker of this platform is started with."""
    known = hands.services.settings
    document = {
        "issuer": known.issuer,
        "database_url": known.database_url,
        "keys_file": str(known.keys_file),
        "secret_file": str(known.secret_file),
        "proxy_url": known.proxy_url,
        "sandbox": True,
        "allowed_outbound_hosts": list(known.allowed_outbound_hosts),
    }
    if known.mail is not None:
        mail = {"host": known.mail.host, "port": known.mail.port, "sender": SENDER, "tls": "none"}
        document |= {"mail": mail}
    return write_toml(folder / "worker.toml", document)


@pytest.fixture
def settings_file(hands: Hands, tmp_path: Path) -> Path:
    """The clock of these tests runs."""
    return settings_of(hands, tmp_path)


@contextmanager
def worker(settings_file: Path) -> Iterator[ForkServerProcess]:
    """A worker process; it is gone at the end, one way or the other."""
    process = started("worker", MYDATA_SETTINGS=str(settings_file))
    try:
        yield process
        # It may hardly have begun, where another one has done all the work.
        wait_until(lambda: not process.is_alive() or takes_sigterm(process), "the worker is at work")
        process.terminate()
        process.join(60)
        assert process.exitcode in {0, -signal.SIGKILL}
    finally:
        process.kill()  # one that does not end would be waited for, for ever, when the tests are over


def takes_sigterm(process: ForkServerProcess) -> bool:
    """Whether the process holds SIGTERM back for the thread that waits for it; until then that ends it as any other."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    blocked = re.search(r"^SigBlk:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return blocked is not None and bool(int(blocked[1], 16) >> (signal.SIGTERM - 1) & 1)  # proc_pid_status(5)


def test_two_workers_send_each_letter_once(hands: Hands, office: PostOffice, settings_file: Path) -> None:
    for _ in range(LETTERS):
        hands.happened("sign_in.locked")
    with worker(settings_file) as one, worker(settings_file) as other:
        wait_until(lambda: len(office.letters) >= LETTERS, "all letters arrive")
        given_way = min(19, os.getpriority(os.PRIO_PROCESS, 0) + cli.WORKER_NICENESS)
        for process in (one, other):
            wait_until(partial(takes_sigterm, process), "both are at work")
            assert process.pid is not None
            assert os.getpriority(os.PRIO_PROCESS, process.pid) == given_way
        wait_until(lambda: all(row.delivered_at for row in hands.notices("email")), "all are known to have arrived")
    sent = Counter(letter["Message-ID"] for letter in office.letters)
    assert len(sent) == LETTERS
    assert set(sent.values()) == {1}


def test_a_worker_killed_while_it_sends_leaves_the_letter_to_another(
    hands: Hands, office: PostOffice, settings_file: Path
) -> None:
    office.hold = "untaken"
    hands.happened("sign_in.locked")
    with worker(settings_file) as first:
        wait_until(lambda: office.held, "the letter is on its way")
        first.kill()
        first.join()
    office.hold = ""
    assert hands.deliver("email") == 0, "for a while it may still be sent by the one that we do not know to be dead"
    clock.advance(LEASE + timedelta(minutes=5))
    assert hands.deliver("email") == 1
    assert len(office.letters) == 1


def test_a_worker_killed_before_it_hears_that_the_letter_was_taken_sends_the_very_same_again(
    hands: Hands, office: PostOffice, settings_file: Path
) -> None:
    """The one window in which a message comes twice; a mailbox knows by the Message-ID that it has it already."""
    office.hold = "taken"
    hands.happened("sign_in.locked")
    with worker(settings_file) as first:
        wait_until(lambda: office.held, "the letter is there")
        first.kill()
        first.join()
    office.hold = ""
    clock.advance(LEASE + timedelta(minutes=5))
    assert hands.deliver("email") == 1
    first_copy, second_copy = office.letters
    assert first_copy.as_bytes() == second_copy.as_bytes()
