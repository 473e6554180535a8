"""Issue test cards and answer for them.

serve    make the authority if it is not there yet, and serve its lists and answers
issue    issue a card: a PKCS #12 file for a browser, a card program, or openssl
sign     sign a text with a card, as card software does, and print the signature
revoke   revoke a card, from the next question on
"""

import argparse
import sys
from pathlib import Path

from cryptography import x509
from werkzeug.serving import make_server

from . import card
from .app import create_app
from .authority import Authority

BIND = "127.0.0.1:8200"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="demo_ca", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("demo-ca"), help="where everything lies")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve")
    serve.add_argument("--bind", default=BIND, help="address and port; certificates will say http://<that>")
    issue = commands.add_parser("issue")
    issue.add_argument("file", help="name of the file, without .p12")
    issue.add_argument("--name", required=True, help="the citizen's name, as in the account")
    issue.add_argument("--id-tail", required=True, help="the last four characters of the national id")
    issue.add_argument("--password", required=True, help="of the PKCS #12 file; for synthetic people only")
    issue.add_argument("--bind", default=BIND, help="as of serve, if the authority has to be made first")
    sign = commands.add_parser("sign")
    sign.add_argument("file", help="name of the card's file, as of issue")
    sign.add_argument("text", help="what is to be signed, in quotes")
    sign.add_argument("--password", required=True)
    revoke = commands.add_parser("revoke")
    revoke.add_argument("file", help="name of the card's file, as of issue")
    return parser.parse_args()


def main() -> None:
    """Run a command; a file that is not there, or not what it should be, is told in a line."""
    try:
        run(arguments())
    except (OSError, ValueError) as error:
        sys.exit(f"demo_ca: {error}")


def run(options: argparse.Namespace) -> None:
    """Do what the command line says.  Raises: OSError, ValueError."""
    if options.command == "revoke":
        certificate = x509.load_pem_x509_certificate((options.folder / "cards" / f"{options.file}.pem").read_bytes())
        Authority(options.folder).revoke(certificate.serial_number)
        print(f"{options.file} revoked")
        return
    if options.command == "sign":
        card_file = options.folder / "cards" / f"{options.file}.p12"
        print(card.sign(card_file.read_bytes(), options.password, options.text).decode(), end="")
        return
    authority = Authority.create(options.folder, f"http://{options.bind}")
    if options.command == "issue":
        made = authority.issue(options.file, options.name, id_tail=options.id_tail, password=options.password)
        print(f"{made.file} written, and {made.file.with_suffix('.pem').name} beside it")
        return
    host, _, port = options.bind.rpartition(":")
    server = make_server(host, int(port), create_app(authority), threaded=True)
    print(f"listening on http://{options.bind}: /root.crl, /issuing.crl, /ocsp", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
