"""A PgBouncer of Debian's package in front of the run's PostgreSQL."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from tests.support.waiting import wait_until

PORT = 6432  # a part of the name of its socket


@contextmanager
def in_front_of(url: str, folder: Path, *, mode: str) -> Iterator[str]:
    """The SQLAlchemy URL of the same database, through it.

    Args: folder: for its files, made now; mode: what it gives a session of PostgreSQL for: session or transaction.
    """
    parsed = make_url(url)
    folder.mkdir()
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={parsed.query['host']} user=postgres\n"
        f"[pgbouncer]\nlisten_addr =\nlisten_port = {PORT}\nunix_socket_dir = {folder}\nauth_type = any\n"
        f"pool_mode = {mode}\nignore_startup_parameters = options\n"
    )
    user = "nobody" if os.geteuid() == 0 else None  # it runs as root no more than PostgreSQL does
    if user:
        folder.chmod(0o777)
        for above in folder.parents[:3]:  # of pytest's own, closed to others
            above.chmod(above.stat().st_mode | 0o011)
    started = subprocess.Popen(
        ["/usr/sbin/pgbouncer", "-q", settings],
        user=user,
        group="nogroup" if user else None,
        extra_groups=[] if user else None,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    through = parsed.update_query_dict({"host": str(folder), "port": str(PORT)})
    try:
        wait_until(lambda: _answers(folder, str(parsed.database)), "PgBouncer answers", limit_s=30)
        yield through.render_as_string(hide_password=False)
    finally:
        started.terminate()
        started.wait(30)


def _answers(folder: Path, database: str) -> bool:
    try:
        psycopg.connect(host=str(folder), port=PORT, user="postgres", dbname=database).close()
    except psycopg.OperationalError:
        return False
    return True
