"""From the click on "stop" at one host to the refusal at another, while deliveries are under way."""

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from client_examples.sandbox.processes import choose_ports
from tests.bench import cpu, report
from tests.bench.browser import UnexpectedAnswer, form_with
from tests.bench.budgets import Budget, Section
from tests.bench.fetch import granted, leased
from tests.bench.http_pump import Pump
from tests.bench.latency import journeys_through
from tests.bench.meter import percentile
from tests.bench.ours import Ours
from tests.bench.steps import Journey

STOPS = 240
WARM_UP = 32
AT_ONCE = 8
REFUSED_P99_MS = 1000.0
_START_S = 30.0


@dataclass(frozen=True)
class Stop:
    """One consent that was stopped in mid-delivery; seconds since the click."""

    refused_s: float  # until the other host first refused the next chunk
    told_s: float  # until the page was there that says that nothing more is sent


def measure(ours: Ours) -> Section:
    """Stop consents at one server, and ask another one again and again whether their deliveries may go on."""
    journeys = journeys_through(ours, STOPS + WARM_UP)
    with _second_host(ours) as port, ThreadPoolExecutor(AT_ONCE) as threads:
        # A server's first requests make connections and compile statements.
        list(threads.map(lambda journey: _stop(ours, journey, port), journeys[STOPS:]))
        stops = list(threads.map(lambda journey: _stop(ours, journey, port), journeys[:STOPS]))
    refused, told = [stop.refused_s for stop in stops], [stop.told_s for stop in stops]
    p99_ms = _ms(refused, 99)
    rows = [
        [name, *(f"{_ms(values, percent):.0f}" for percent in (50, 95, 99, 100))]
        for name, values in (("refused at the other host", refused), ("the page says so", told))
    ]
    text = f"""## Withdrawal

{STOPS} consents, each stopped while its delivery is under way, {AT_ONCE} at a time: the citizen clicks at one server
process, the proxy asks another one, as two hosts that share nothing but PostgreSQL. {WARM_UP} before them, by which the
other one warms up, are not counted. Milliseconds since the click:

{report.table(["", "p50", "p95", "p99", "longest"], rows)}

The page comes later on purpose: it waits until the last permission to send, given before the click, has run out
everywhere. Where no delivery is under way it comes at once."""
    limit = f"< {REFUSED_P99_MS:g}"
    met = p99_ms < REFUSED_P99_MS
    return Section(text, [Budget("withdrawal: click to refusal p99, ms", limit, f"{p99_ms:.0f}", met)])


@contextmanager
def _second_host(ours: Ours) -> Iterator[int]:
    """Another server of the same platform on the load's core; its port."""
    (port,) = choose_ports(None, 1)
    with cpu.on_core(cpu.LOAD_CORE):
        process = subprocess.Popen(
            [ours.sandbox.mydata, "serve"],
            env=ours.sandbox.environment | {"MYDATA_BIND": f"127.0.0.1:{port}"},
            cwd=ours.sandbox.work / "server",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(_START_S)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            with closing(Pump("127.0.0.1", port, 1)):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _stop(ours: Ours, journey: Journey, other_port: int) -> Stop:
    parts = urlsplit(ours.target.provider.issuer)
    with (
        closing(Pump(parts.hostname or "", parts.port or 0, 1)) as here,
        closing(Pump("127.0.0.1", other_port, 1)) as there,
        ThreadPoolExecutor(1) as citizen,
    ):
        (answer,) = there.send([ours.fetches.exchange(journey)])
        lease = leased(answer)
        (answer,) = there.send([ours.fetches.outcome(lease, "delivering")])
        if answer.status != 204:
            raise UnexpectedAnswer("delivering", answer)
        url = f"{ours.target.provider.issuer}/consent/{granted(journey)['transaction']}/stop"
        (page,) = here.send([journey.browser.get(url)])
        form = form_with(page, url, "csrf")
        press = journey.browser.post(form.action, form.hidden)
        ask = ours.fetches.outcome(lease, "continuing")
        clicked = time.perf_counter()
        pressing = citizen.submit(here.send, [press])
        while (answer := there.send([ask])[0]).status == 204 and not pressing.done():
            pass
        refused_s = time.perf_counter() - clicked
        (stopped,) = pressing.result()
        if stopped.status != 303:
            raise UnexpectedAnswer("stop", stopped)
        if answer.status != 409 or json.loads(answer.body)["error"] != "lease_not_usable":
            raise UnexpectedAnswer("continuing", answer)
        return Stop(refused_s, stopped.latency_s)


def _ms(values: Sequence[float], percent: int) -> float:
    return 1000 * percentile(values, percent)
