"""A PgBouncer of Debian's package in front of the run's PostgreSQL."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from tests.support.waiting import wait_until

PORT = 6432  # a part of the name of its socket


@contextmanager
def in_front_of(url: str, *, mode: str) -> Iterator[str]:
    """The SQLAlchemy URL of the same database, through it.

    Args: mode: what it gives a session of PostgreSQL for: session or transaction.
    """
    parsed = make_url(url)
    # Beside PostgreSQL's own files: whoever that runs as can go there.
    folder = Path(str(parsed.query["host"])) / f"pgbouncer-{secrets.token_hex(4)}"
    folder.mkdir()
    folder.chmod(0o777)
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={parsed.query['host']} user=postgres\n"
        f"[pgbouncer]\nlisten_addr =\nlisten_port = {PORT}\nunix_socket_dir = {folder}\nauth_type = any\n"
        f"pool_mode = {mode}\nignore_startup_parameters = options\n"
    )
    user = "nobody" if os.geteuid() == 0 else None  # it runs as root no more than PostgreSQL does
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
        shutil.rmtree(folder)


def _answers(folder: Path, database: str) -> bool:
    try:
        psycopg.connect(host=str(folder), port=PORT, user="postgres", dbname=database).close()
    except psycopg.OperationalError:
        return False
    return True
