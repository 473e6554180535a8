"""Start the mailbox: `python -m client_examples.mailbox --help`."""

import argparse
import logging
from pathlib import Path

from .app import create_app
from .letters import Letters, serve_smtp


def arguments() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="mailbox", description=__doc__)
    parser.add_argument("--smtp", default="127.0.0.1:8025", help="address and port that take e-mail")
    parser.add_argument("--bind", default="127.0.0.1:8006", help="address and port of the pages and of text messages")
    parser.add_argument("--token-file", type=Path, required=True, help="what senders of text messages have to present")
    return parser.parse_args()


def main() -> None:
    """Serve until interrupted; nothing is written anywhere."""
    options = arguments()
    letters = Letters()
    host, _, port = options.smtp.rpartition(":")
    controller = serve_smtp(letters, host, int(port))
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    host, _, port = options.bind.rpartition(":")
    app = create_app(letters, token=options.token_file.read_text(encoding="utf-8").strip())
    try:
        app.run(host, int(port), threaded=True)
    finally:
        controller.stop()


if __name__ == "__main__":
    main()
