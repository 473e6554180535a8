"""What is said of transfers that an end of a consent breaks off."""

import pytest

from authz_server.core import clock, transfers


class Committed:
    """A session that notes when it was committed."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def commit(self) -> None:
        self.at.append(clock.now().timestamp())


@pytest.mark.parametrize("under_way", [True, False])
def test_an_end_is_committed_at_once_and_said_once_nothing_more_leaves(under_way: bool) -> None:
    session = Committed()
    with clock.frozen(clock.now()):
        began_at = clock.now().timestamp()
        transfers.commit_end(session, under_way=under_way)  # type: ignore[arg-type]
        waited_s = clock.now().timestamp() - began_at
    assert session.at == [began_at], "a wait before the commit would be for nothing: permissions are given until then"
    assert waited_s == pytest.approx(transfers.OVER_AFTER_S if under_way else 0)
