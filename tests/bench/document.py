"""docs/performance.md, written whole from one run."""

import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.bench import budgets, cpu, peer, report
from tests.bench.budgets import Budget, Section
from tests.bench.meter import Rounds
from tests.bench.ours import NAME, Ours
from tests.bench.rounds import Plan

PATH = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
_PACKAGES = ("flask", "sqlalchemy", "psycopg", "authlib", "joserfc", "cryptography", "granian", "httptools")
_REFERENCE = "node-oidc-provider, Redis"
JOURNEY_TIMES = 1.0
SMALL_MS = 2.5
LARGE_MS = 25
LARGE_MIB = 5
FIRST_BYTE_MS = 5


def write_up(
    results: Mapping[str, Rounds],
    statements: Mapping[str, tuple[float, float, float]],
    ours: Ours | None,
    plan: Plan,
    sections: Sequence[Section],
    versions: str,
) -> str:
    """The whole document."""
    parts = [_introduction(plan), report.journey_table(results)]
    if ours is not None:
        whole = [_comparison(results), _fetch_section(results[NAME], ours)]
        parts += [*(section.text for section in whole), _statement_section(statements)]
        if sections:
            parts += [budgets.table([*whole, *sections]), *(section.text for section in sections)]
    parts += [_method(plan), versions]
    return "\n\n".join(part for part in parts if part)


def _introduction(plan: Plan) -> str:
    today = datetime.now(UTC).date()
    return f"""# Performance

Written by `make bench` on {today}; edit nothing here by hand.

## The FAPI 2.0 journey

Pushed request, consent page, decision, token: private_key_jwt and DPoP with ES256, PKCE, a signed id_token, the consent
asked each time of a citizen who is signed in. CPU in microseconds per operation, server and database together; medians
of {plan.rounds} interleaved rounds."""


def _comparison(results: Mapping[str, Rounds]) -> Section:
    if _REFERENCE not in results:
        return Section("", [])
    own = report.journey_us(results[NAME])
    lines = [
        f"- {own / report.journey_us(rounds):.2f} times the CPU of {name}"
        for name, rounds in results.items()
        if name != NAME
    ]
    times = own / report.journey_us(results[_REFERENCE])
    goal = f"CPU of the journey, times that of {_REFERENCE}"
    met = times <= JOURNEY_TIMES
    return Section(
        "\n".join(["One journey here costs", *lines]),
        [Budget(goal, f"<= {JOURNEY_TIMES:.1f}", f"{times:.2f}", met)],
    )


def _fetch_section(rounds: Rounds, ours: Ours) -> Section:
    memory_mib = ours.fetches.most_memory_kb / 1024
    first_ms = 1000 * statistics.median(ours.fetches.first_bytes_s)
    small_ms, large_ms = (rounds.median(kind, report.cost_us) / 1000 for kind in ("fetch 1 KB", "fetch 20 MB"))
    text = f"""## The single use of a dataset token

The exchange (the proxy's token request) and the outcome measured alone, and whole fetches through the proxy from an
agency that answers at once. A file of 20 MiB is 27 MiB on the wire, as a JWE in compact serialization. CPU in
microseconds per operation.

{report.fetch_table(rounds)}

While 20 MB files passed, the proxy's memory peaked at most {memory_mib:.1f} MiB above where it stood, and the first
byte was with the client {first_ms:.1f} ms (p50) after the agency had sent it.
The worker, which writes and sends the citizens' notices and tidies up, used {report.worker_us(rounds):.0f} microseconds
of CPU per journey, with its connections to the database, fetches included."""
    goals = (
        ("exchange and fetch of 1 KB, ms of CPU", SMALL_MS, small_ms),
        ("20 MB, ms of CPU", LARGE_MS, large_ms),
        ("20 MB, MiB of memory more", LARGE_MIB, memory_mib),
        ("20 MB, first byte after the agency's, ms", FIRST_BYTE_MS, first_ms),
    )
    return Section(
        text, [Budget(goal, f"<= {most:g}", f"{measured:.1f}", measured <= most) for goal, most, measured in goals]
    )


def _statement_section(statements: Mapping[str, tuple[float, float, float]]) -> str:
    return f"""## Statements per request

Counted in PostgreSQL's own log, after the measured rounds.

{report.statement_table(statements)}"""


def _method(plan: Plan) -> str:
    cores = "one core" if cpu.SERVER_CORE == cpu.LOAD_CORE else "one core, the load on another"
    return f"""## How it is measured

Servers and databases share {cores}; {plan.connections} connections stay busy.
A batch of journeys does each kind of request together, so CPU, read from the operating system's clocks of every process
before and after, belongs to one kind; keys, assertions, proofs and the reading of answers happen in between, while no
clock runs. Targets take turns batch by batch.
Journeys per second is what the core sustained. Errors are counted over all rounds.

Our server commits synchronously to PostgreSQL with fsync, writes an audit entry for each edge, and shows its complete
consent page; the peer shows a bare form. The peer's Redis runs as it comes, with snapshots now and then, so a crash may
forget minutes of used codes; "synced at each write" is `appendfsync always`. All databases listen on Unix sockets."""


def versions(ours: Ours | None, *, with_peer: bool) -> str:
    """What was measured, on what."""
    found = {"Python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
    if ours is not None:
        with ours.postgres.connect() as connection:
            row = connection.execute("SHOW server_version").fetchone()
        found["PostgreSQL"] = str(row[0]) if row else "unknown"
    if with_peer:
        found |= peer.versions()
    listed = ", ".join(f"{name} {number}" for name, number in found.items())
    return f"Versions: {listed}. Machine: {_processor()}, Linux {platform.release()}."


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
