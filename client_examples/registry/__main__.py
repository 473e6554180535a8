"""Start the registry: `python -m client_examples.registry --help`."""

import argparse
import json
import logging
import sys
import time
from pathlib import Path

from werkzeug.serving import make_server

from client_examples.demo_agency.keys import load_or_create
from client_examples.demo_agency.platform import Platform
from client_examples.demo_agency.ticket import UsedTickets

from .app import Registry, create_app
from .books import documents_of
from .question import Reader


def arguments() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="registry", description=__doc__)
    parser.add_argument("--id", default="registry", help="our name, as the platform calls us")
    parser.add_argument("--issuer", default="http://127.0.0.1:8000", help="the platform, whose questions are answered")
    parser.add_argument(
        "--folder", default="registry", type=Path, help="where keys are kept and registry.jwks.json goes"
    )
    parser.add_argument("--bind", default="127.0.0.1:8005", help="address and port; port 0 takes a free one")
    parser.add_argument("--init", action="store_true", help="make keys and registry.jwks.json, then stop")
    parser.add_argument("--show", metavar="NATIONAL_ID", help="print the documents of a made-up person, then stop")
    return parser.parse_args()


def main() -> None:
    """Make what is missing, say where it is, and serve until interrupted."""
    options = arguments()
    if options.show:
        show(options.show)
        return
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    keys = load_or_create(options.folder)
    public = options.folder / "registry.jwks.json"
    public.write_text(json.dumps(keys.public_jwks()))
    print(f"keys are in {options.folder}; the platform's operator needs {public}", flush=True)
    if options.init:
        return
    platform = Platform(options.issuer)
    used = UsedTickets(started_at=int(time.time()))
    reader = Reader(options.id, options.issuer, keys.decryption, platform.signing_key, used)
    app = create_app(Registry(reader, keys.signing))
    host, _, port = options.bind.rpartition(":")
    server = make_server(host, int(port), app, threaded=True)
    print(f"listening on http://{host}:{server.server_port}/verifications", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return


def show(national_id: str) -> None:
    """What a tester types to pass as somebody who does not exist."""
    known = documents_of(national_id)
    print(json.dumps(known.evidence("health_card") | known.evidence("two_documents"), ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main()
