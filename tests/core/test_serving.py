"""How the servers listen: what can be told without one."""

import os
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Value
from threading import Barrier

from authz_server.core.serving import stay_on_core


def test_each_worker_stays_on_a_core_of_its_own() -> None:
    started, all_there = Value("i"), Barrier(3)

    def worker(_: int) -> set[int]:
        # To the operating system a thread is a process.
        stay_on_core(started)
        all_there.wait()
        return os.sched_getaffinity(0)

    cores = sorted(os.sched_getaffinity(0))
    with ThreadPoolExecutor(3) as threads:
        kept_to = sorted(core for kept in threads.map(worker, range(3)) for core in kept)
    assert kept_to == sorted((cores * 3)[:3])
    assert sorted(os.sched_getaffinity(0)) == cores
