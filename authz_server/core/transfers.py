"""How soon a transfer under way ends once its consent has ended: what proxy and authorization server agree on.

A proxy hands over no chunk of an answer without a permission, which is good for `PERMITTED_S` from the moment at which
it was asked for, however late its answer came. So once the end of a consent is committed, no proxy, reachable or not,
hands over a chunk after `PERMITTED_S`. Whoever ends a consent waits `OVER_AFTER_S` and may then promise that nothing
more of it leaves. Only durations are compared, each on the clock of one host, so clocks that differ do no harm.

What was handed over before can't be called back: it waits in the buffers of the connection for a recipient that reads
slowly. `core.serving` keeps them small; `MOST_BUFFERED_BYTES` is what they hold at most.
"""

from typing import TYPE_CHECKING, Final

from authz_server.core import clock
from authz_server.core.admission import give_up_turn

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from sqlalchemy.orm import Session

PERMITTED_S: Final = 0.8
ASK_AFTER_S: Final = 0.4  # so that the next permission comes before the last one has run out
OVER_AFTER_S: Final = 0.9  # a little more, for what was handed over in the last moment to be gone
MOST_BUFFERED_BYTES: Final = 2 * 1024 * 1024


def commit_end(session: "Session", *, under_way: bool, environ: "WSGIEnvironment | None" = None) -> None:
    """Commit the end of a consent; only then, and once nothing of it is sent any more, say so by returning.

    Args: under_way: whether a transfer was, that it ends. environ: of the request that waits; it holds up no other
        meanwhile.
    """
    session.commit()
    if not under_way:
        return
    if environ is not None:
        give_up_turn(environ)
    clock.wait(OVER_AFTER_S)
