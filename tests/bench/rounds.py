"""Interleaved rounds: every target does a small batch in turn, so that a noisy neighbour troubles all of them alike."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.bench.http_pump import Pump
from tests.bench.journey import Driver
from tests.bench.meter import Meter, Rounds
from tests.bench.target import Target


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    batches_per_round: int
    warm_up_batches: int
    connections: int

    @property
    def batches(self) -> int:
        return self.warm_up_batches + self.rounds * self.batches_per_round


def measure(targets: Sequence[Target], plan: Plan) -> dict[str, Rounds]:
    """Results by the target's name. Raises: RuntimeError: a target failed every journey of its warm-up."""
    results = {target.name: Rounds() for target in targets}
    for target in targets:
        _warm_up(target, plan)
    for number in range(plan.rounds):
        meters = {target.name: Meter(target.parts) for target in targets}
        for _ in range(plan.batches_per_round):
            for target in targets:
                with pump_to(target, plan.connections) as pump:
                    _batch(target, meters[target.name], pump)
        for name, meter in meters.items():
            results[name].rounds.append(meter.figures)
        print(f"round {number + 1} of {plan.rounds} done", flush=True)
    return results


def _warm_up(target: Target, plan: Plan) -> None:
    meter = Meter(target.parts)
    with pump_to(target, plan.connections) as pump:
        for _ in range(plan.warm_up_batches):
            _batch(target, meter, pump)
    if not meter.of("journey").operations:
        failures = [f"{kind}: {figures.first_failure}" for kind, figures in meter.figures.items() if figures.errors]
        raise RuntimeError(f"{target.name} completes no journey; {'; '.join(failures)}")
    print(f"{target.name}: {meter.of('journey').operations} journeys to warm up", flush=True)


def _batch(target: Target, meter: Meter, pump: Pump) -> None:
    journeys = Driver(target.provider, pump, meter).run(next(target.groups))
    if target.afterwards is not None and journeys:
        target.afterwards.run(journeys, meter, pump)


@contextmanager
def pump_to(target: Target, connections: int) -> Iterator[Pump]:
    """Connections that are open before anything is measured."""
    parts = urlsplit(target.provider.issuer)
    with closing(Pump(parts.hostname or "", parts.port or 0, connections)) as pump:
        yield pump
