"""The FAPI 2.0 journey against any provider, one kind of request at a time.

A batch of journeys goes through its steps together: every request of one kind is sent, answered and measured before
the next kind is prepared. So CPU belongs to one kind of request, and what the driver signs, parses and follows
up happens while no clock runs.
"""

from collections.abc import Callable, Sequence

from tests.bench.browser import Browser, UnexpectedAnswer
from tests.bench.http_pump import Answer, Pump
from tests.bench.meter import Meter
from tests.bench.steps import Journey, Provider, Steps

JOURNEY = ("PAR", "consent page", "decision", "token")
_MOST_HOPS = 6

Prepare = Callable[[Journey], bytes]
Take = Callable[[Journey, Answer], bytes | None]


class Driver:
    """Runs batches of journeys against one provider and books them with a meter."""

    def __init__(self, provider: Provider, pump: Pump, meter: Meter) -> None:
        self._steps = Steps(provider)
        self._pump = pump
        self._meter = meter

    def run(self, browsers: Sequence[Browser], *, userinfo: bool = True) -> list[Journey]:
        """One journey per browser, each signed in; returns those that came through."""
        journeys = [Journey(browser) for browser in browsers]
        steps: tuple[tuple[str, Prepare, Take], ...] = (
            ("PAR", self._steps.push, self._steps.pushed),
            ("consent page", self._steps.authorize, self._steps.shown),
            ("decision", self._steps.decide, self._steps.decided),
            ("token", self._steps.redeem, self._steps.redeemed),
        )
        for kind, prepare, take in steps:
            journeys = self.step(kind, journeys, prepare, take)
        for journey in journeys:
            whole = self._meter.of("journey")
            whole.operations += 1
            whole.latencies_s.append(journey.latency_s)
        if userinfo:
            journeys = self.step("userinfo", journeys, self._steps.ask_userinfo, self._steps.told)
        return journeys

    def step(self, kind: str, journeys: Sequence[Journey], prepare: Prepare, take: Take) -> list[Journey]:
        """Send one kind of request for every journey, with the redirects that belong to it."""
        under_way = [(journey, prepare(journey)) for journey in journeys]
        spent = dict.fromkeys(map(id, journeys), 0.0)
        for _ in range(_MOST_HOPS):
            with self._meter.measuring(kind) as figures:
                answers = self._pump.send([ready for _, ready in under_way])
            figures.requests += len(answers)
            following = []
            for (journey, _), answer in zip(under_way, answers, strict=True):
                spent[id(journey)] += answer.latency_s
                figures.first_bytes_s.append(answer.first_byte_s)
                more = self._taken(journey, answer, take)
                if more is not None:
                    following.append((journey, more))
            under_way = following
            if not under_way:
                break
        for journey in journeys:
            if journey.failure is not None:
                figures.errors += 1
                figures.first_failure = figures.first_failure or journey.failure
        through = [journey for journey in journeys if journey.failure is None]
        figures.operations += len(through)
        for journey in through:
            figures.latencies_s.append(spent[id(journey)])
            journey.latency_s += spent[id(journey)]
        return through

    @staticmethod
    def _taken(journey: Journey, answer: Answer, take: Take) -> bytes | None:
        try:
            return take(journey, answer)
        except UnexpectedAnswer as unexpected:
            journey.failure = str(unexpected)
            return None
