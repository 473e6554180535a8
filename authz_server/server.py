"""What `mydata serve` runs: the application in its worker processes, and how many requests of each kind at once."""

from functools import partial

from sqlalchemy.exc import OperationalError

from authz_server import installation, schema
from authz_server.app import create_app
from authz_server.config import Settings
from authz_server.consent import correction
from authz_server.core import clock, logging
from authz_server.core.admission import Room
from authz_server.core.serving import Served, serve
from authz_server.database import session_for
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
# And for developers: anybody may have a client's keys fetched there, five seconds at worst; whoever wants the same ones
# meanwhile waits for a second.
DEVELOPERS = Room(at_once=2, waiting=4, paths=("/developer",))
THREADS = 4  # per worker, at work; while one waits for its commit, the others go on


def run(settings: Settings) -> None:
    """Serve until told to stop.  Raises: SettingsError, CatalogueError."""
    create_app(settings)  # every problem is told before anything listens
    schema.check(settings.database_url)
    serve(
        "authz_server",
        partial(_worker_app, settings, secret_held=check_secret(settings)),
        bind=settings.bind,
        workers=settings.workers,
        bind_cores=settings.bind_cores,
        rooms=[
            CERTIFICATES,
            NEIGHBOURS,
            SIGN_INS,
            DOCUMENTS,
            VERIFYING,
            DEVELOPERS,
            Room(at_once=THREADS, waiting=settings.queue, essential=busy.ESSENTIAL),
        ],
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
    )


def check_secret(settings: Settings) -> bool:
    """False if the database can't be reached.  Raises: SettingsError if the secret file is not that of the database.

    What was sealed for an agency and not taken in time is destroyed: it may be that no worker has run since.
    """
    try:
        with session_for(settings) as session:
            installation.own_secret(session, settings.secret_file)
            correction.lapse(session, now=clock.now())
    except OperationalError:
        return False
    return True


def _worker_app(settings: Settings, *, secret_held: bool) -> Served:
    logging.configure(settings.log_level)
    app = create_app(settings, secret_held=secret_held)
    return Served(app, busy.refusal(app))
