"""What the operating system says a server used, and which core it may use."""

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_CORES = sorted(os.sched_getaffinity(0))

SERVER_CORE = _CORES[0]
LOAD_CORE = _CORES[-1]


@contextmanager
def on_core(*cores: int) -> Iterator[None]:
    """Bind this process, and for good whatever it starts meanwhile, to one core, or to these."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def used_s(roots: Collection[int], *, others: Collection[int] = ()) -> float:
    """CPU seconds, user and system, that these processes and all their descendants have used.

    Args: others: descendants that are booked elsewhere.
    Living processes are read from their CPU-time clocks, which count nanoseconds where /proc/<pid>/stat counts ticks;
    only what already ended (cutime and cstime of its parent) comes in ticks.
    """
    return sum(_process_s(pid) for root in roots for pid in _family(root) if pid in roots or pid not in others)


def idle_s(cores: int) -> float:
    """Seconds that the server's core, or its and the load's, had nothing to do since the start. proc(5), stat."""
    wanted = {f"cpu{core}" for core in (SERVER_CORE, LOAD_CORE)[:cores]}
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    return sum(int(line[4]) + int(line[5]) for line in lines if line[0] in wanted) / _TICKS_PER_S


def peak_memory_kb(pid: int) -> int:
    """Most resident memory the process has held since `forget_peak_memory`, in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise ProcessLookupError(pid)


def forget_peak_memory(pid: int) -> None:
    """Start the peak afresh at what is resident now. proc(5), clear_refs, value 5."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def family(root: int) -> tuple[int, ...]:
    """The process and all its living descendants."""
    return tuple(_family(root))


def _family(root: int) -> Iterator[int]:
    yield root
    with suppress(FileNotFoundError, ProcessLookupError):
        for children in Path(f"/proc/{root}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from _family(int(child))


def _process_s(pid: int) -> float:
    try:
        living = time.clock_gettime(_cpu_clock(pid))
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it ended meanwhile; its parent's cutime has it
        return 0.0
    return living + (int(fields[13]) + int(fields[14])) / _TICKS_PER_S


def _cpu_clock(pid: int) -> int:
    """The clock of another process, as clock_getcpuclockid(3) makes it on Linux: CPUCLOCK_SCHED = 2."""
    return (~pid << 3) | 2
