"""A peer that fails is left alone for a while, and never takes every thread."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from authz_server.core import clock
from authz_server.core.circuit import Circuit, CircuitOpen, PeerBusy


@pytest.fixture(autouse=True)
def _frozen() -> Iterator[None]:
    with clock.frozen(datetime(2030, 1, 1, tzinfo=UTC)):
        yield


@pytest.fixture
def circuit() -> Circuit:
    return Circuit(max_concurrent=2, failures=3, cool_down_s=30)


def fail(circuit: Circuit, times: int) -> None:
    for _ in range(times):
        circuit.enter().settle(peer_works=False)


def test_it_opens_after_so_many_failures_in_a_row(circuit: Circuit) -> None:
    fail(circuit, 2)
    circuit.enter().settle(peer_works=True)
    fail(circuit, 3)
    with pytest.raises(CircuitOpen) as refused:
        circuit.enter()
    assert refused.value.retry_after_s == 30


def test_whoever_waits_as_long_as_told_is_let_in(circuit: Circuit) -> None:
    fail(circuit, 3)
    clock.advance(timedelta(seconds=0.6))
    with pytest.raises(CircuitOpen) as refused:
        circuit.enter()
    clock.advance(timedelta(seconds=refused.value.retry_after_s))
    circuit.enter()


def test_after_the_cool_down_one_may_try_and_the_others_wait(circuit: Circuit) -> None:
    fail(circuit, 3)
    clock.advance(timedelta(seconds=30))
    probe = circuit.enter()
    with pytest.raises(CircuitOpen):
        circuit.enter()
    probe.settle(peer_works=True)
    circuit.enter().settle(peer_works=True)


def test_a_probe_that_fails_opens_it_again(circuit: Circuit) -> None:
    fail(circuit, 3)
    clock.advance(timedelta(seconds=30))
    fail(circuit, 1)
    with pytest.raises(CircuitOpen):
        circuit.enter()


def test_a_probe_that_asked_nothing_leaves_the_next_one_to_try(circuit: Circuit) -> None:
    fail(circuit, 3)
    clock.advance(timedelta(seconds=30))
    circuit.enter().settle(peer_works=None)
    circuit.enter().settle(peer_works=True)
    circuit.enter().settle(peer_works=True)


def test_what_says_nothing_about_the_agency_counts_neither_way(circuit: Circuit) -> None:
    fail(circuit, 2)
    circuit.enter().settle(peer_works=None)
    fail(circuit, 1)
    with pytest.raises(CircuitOpen):
        circuit.enter()


def test_not_more_than_so_many_are_inside(circuit: Circuit) -> None:
    permits = [circuit.enter(), circuit.enter()]
    with pytest.raises(PeerBusy):
        circuit.enter()
    permits[0].settle(peer_works=True)
    circuit.enter()


def test_a_permit_is_given_back_once(circuit: Circuit) -> None:
    first, _second = circuit.enter(), circuit.enter()
    first.settle(peer_works=True)
    first.settle(peer_works=True)
    circuit.enter()
    with pytest.raises(PeerBusy):
        circuit.enter()


def test_a_clock_that_was_fast_keeps_it_open_no_longer(circuit: Circuit) -> None:
    clock.advance(timedelta(days=1))
    fail(circuit, 3)
    clock.advance(timedelta(days=-1))
    probe = circuit.enter()
    with pytest.raises(CircuitOpen) as refused:
        circuit.enter()
    assert refused.value.retry_after_s <= 30
    probe.settle(peer_works=True)
    circuit.enter().settle(peer_works=True)
