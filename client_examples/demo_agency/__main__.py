"""Start the agencies: `python -m client_examples.demo_agency --help`."""

import argparse
import logging
import os
import sys
import time
from pathlib import Path

from werkzeug.serving import make_server

from .answers import Office
from .app import Agencies, create_app
from .heartbeat import Heart
from .keys import load_or_create, load_or_create_api_key
from .mail import Mail
from .misbehave import Switches, parse_modes
from .platform import Platform
from .registration import agency_toml
from .scan import specimen_png
from .slow import Queue
from .ticket import UsedTickets, Verifier

JOSE_AGENCIES = ("ris", "bli", "land", "fia")
PLAIN_AGENCIES = ("nhi",)


def arguments() -> argparse.Namespace:
    """Options of the command line; each can be set in the environment instead."""
    parser = argparse.ArgumentParser(prog="demo_agency", description=__doc__)

    def option(name: str, default: str, text: str) -> None:
        variable = "DEMO_AGENCY_" + name.upper()
        parser.add_argument(f"--{name.replace('_', '-')}", default=os.environ.get(variable, default), help=text)

    option("issuer", "http://localhost:8000", "the platform's issuer, of which all else is found")
    option("folder", "demo-agency", "where keys are kept and registration files are written")
    option("bind", "127.0.0.1:8100", "address and port; port 0 takes a free one")
    option("slow_s", "3", "seconds that fia.income takes")
    option("hang_s", "90", "seconds of silence of an agency in mode hang")
    option("modes", "", "how agencies misbehave from the start, e.g. ris=down,fia=hang")
    option("canary", "", "a text to put into every record, to look for afterwards where it must not be")
    option("admin", "", "1: PUT /admin/<agency>/<mode> switches an agency's mode, from this machine only")
    parser.add_argument("--init", action="store_true", help="make keys and registration files, then stop")
    return parser.parse_args()


def main() -> None:
    """Make what is missing, say where it is, and serve until interrupted."""
    options = arguments()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    folder = Path(options.folder)
    keys = {agency_id: load_or_create(folder / agency_id) for agency_id in JOSE_AGENCIES}
    api_keys = {agency_id: load_or_create_api_key(folder / agency_id) for agency_id in PLAIN_AGENCIES}
    for agency_id, pair in keys.items():
        (folder / agency_id / "agency.toml").write_text(
            agency_toml(agency_id, pair.public_jwks(), f"http://{options.bind}")
        )
    print(f"keys, agency.toml and api-key of each agency are in {folder}/<agency id>/", flush=True)
    if options.init:
        return
    platform = Platform(options.issuer)
    used = UsedTickets(started_at=int(time.time()))
    switches = Switches(parse_modes(options.modes), hang_s=float(options.hang_s))
    office = Office(switches, Queue(int(options.slow_s)), lambda: int(time.time()), canary=options.canary)
    jose = {
        agency_id: (pair, Verifier(agency_id, options.issuer, pair.decryption, platform.signing_key, used))
        for agency_id, pair in keys.items()
    }
    app = create_app(Agencies(platform, office, jose, api_keys, specimen_png(), admin=options.admin == "1"))
    mails = tuple(Mail(agency_id, platform, pair) for agency_id, pair in keys.items())
    Heart(mails, switches, office.now).start()
    host, _, port = options.bind.rpartition(":")
    server = make_server(host, int(port), app, threaded=True)
    print(f"listening on http://{host}:{server.server_port}/<agency id>", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        switches.stopping.set()


if __name__ == "__main__":
    main()
