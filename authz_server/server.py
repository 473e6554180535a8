"""What `mydata serve` runs: the application in its worker processes, and how many requests of each kind at once."""

from collections.abc import Callable
from functools import partial

from authz_server import schema
from authz_server.app import create_app
from authz_server.config import Settings
from authz_server.core import logging
from authz_server.core.admission import Room
from authz_server.core.serving import Served, serve
from authz_server.identity import passwords
from authz_server.portal import busy, verify

# Of their own, so that passwords, which are slow to check on purpose, never take the turns of tokens.
SIGN_INS = Room(
    at_once=passwords.MOST_AT_ONCE, waiting=16, paths=("/sign-in", "/account/methods/password_totp/password")
)
# Of their own again, for they wait for the authorities that issued the certificates, ten seconds at worst.
CERTIFICATES = Room(at_once=4, waiting=8, paths=("/sign-in/certificate", "/account/methods/certificate"))
# And again, for they wait for registries and other providers.
NEIGHBOURS = Room(
    at_once=8,
    waiting=8,
    paths=("/sign-in/health-card", "/sign-in/two-documents", "/sign-in/provider", "/account/methods/provider"),
)
# And for documents, which take a while to make: one at a time, so that no number of wishes takes turns of tokens.
DOCUMENTS = Room(at_once=1, waiting=8, paths=("/record/export",), endings=("/receipt.pdf",))
# And for files to be verified, which are larger than any other form; few, for they are taken into memory.
VERIFYING = Room(at_once=1, waiting=2, paths=("/verify",), largest_body_bytes=verify.MAX_BYTES)
THREADS = 4  # per worker, at work; while one waits for its commit, the others go on


def run(settings: Settings, *, secret_held: Callable[[], bool]) -> None:
    """Serve until told to stop.  Raises: SettingsError, CatalogueError.

    Args: secret_held: finds out whether the secret file is that of the database; False if nobody can tell yet.
    """
    create_app(settings)  # every problem is told before anything listens
    schema.check(settings.database_url)
    serve(
        "authz_server",
        partial(_worker_app, settings, secret_held=secret_held()),
        bind=settings.bind,
        workers=settings.workers,
        bind_cores=settings.bind_cores,
        rooms=[
            CERTIFICATES,
            NEIGHBOURS,
            SIGN_INS,
            DOCUMENTS,
            VERIFYING,
            Room(at_once=THREADS, waiting=settings.queue, essential=busy.ESSENTIAL),
        ],
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
    )


def _worker_app(settings: Settings, *, secret_held: bool) -> Served:
    logging.configure(settings.log_level)
    app = create_app(settings, secret_held=secret_held)
    return Served(app, busy.refusal(app))
