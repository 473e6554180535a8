"""Which worker of a run begins with which tests."""

from collections.abc import Sequence

import pytest

# Their tests share servers, browsers and databases, which take long to start and would be started by every worker that
# has one of these tests. The longest first.
KEPT_TOGETHER = ("tests/browser", "tests/crashes", "tests/flows", "tests/client_examples", "tests/races")


def dealt(items: Sequence[pytest.Item], *, workers: int) -> list[pytest.Item]:
    """The tests in an order in which each folder of `KEPT_TOGETHER` is at the beginning of one worker's share.

    Of xdist's way to work ("worksteal"): each worker gets as many tests, in their order, and whoever has done all takes
    from the end of what another one still has to do. So what takes long comes first, and stays with one.
    """
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    there_and_back = [*shares, *reversed(shares)]
    begins_with = {folder: there_and_back[place % (2 * workers)] for place, folder in enumerate(KEPT_TOGETHER)}
    rest: list[pytest.Item] = []
    for item in items:
        folder = "/".join(item.nodeid.split("/")[:2])
        begins_with.get(folder, rest).append(item)
    for place, share in enumerate(shares):
        # As xdist cuts them: what is left, divided by the workers that are.
        wanted = (len(items) - sum(map(len, shares[:place]))) // (workers - place)
        free = max(wanted - len(share), 0)
        share += rest[:free]
        del rest[:free]
    return [item for share in shares for item in share] + rest
