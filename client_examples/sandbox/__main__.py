"""`python -m client_examples.sandbox demo|journey|up`: what `make demo` and `make journey` call.

demo     start everything, drive one journey, keep serving until Ctrl-C
journey  start everything on free ports, drive scenes, stop everything; exit 0 only if every promise held
up       start everything and keep serving, without a journey
code     print a one-time code of a synthetic citizen, for signing in by hand
"""

import argparse
import shlex
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from client_examples.bank_web.client import Refused
from client_examples.registry.books import documents_of

from . import promises
from .browser import NotOnThePage
from .citizens import everybody
from .processes import ABOVE, ProcessFailed, pass_by_proxies
from .sandbox import Sandbox
from .scenes import clients_of, drive_of, scenes

BROKEN = (promises.PromiseBroken, NotOnThePage, ProcessFailed, Refused, RuntimeError, OSError)
LOOK_EVERY_S = 1
# As it is typed in any folder: these programs are not installed.
PYTHON = f"PYTHONPATH={shlex.quote(str(ABOVE))} {shlex.quote(sys.executable)}"
ALL_CLIENTS = ("bank", "node-bank", "desk")
ALL = "all"


def main() -> int:
    """Run a command; the exit code."""
    options = arguments()
    if options.command == "code":
        print(next(one.one_time_code() for one in everybody() if one.username == options.citizen))
        return 0
    pass_by_proxies()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    canary = "" if options.command == "up" else promises.new_canary()
    by_hand = options.command != "journey"
    sandbox = Sandbox(
        db=options.db,
        work=options.work,
        friendly_ports=by_hand,
        canary=canary,
        banks=ALL_CLIENTS if by_hand else clients_of(options.scene),
        say=say(),
    )
    try:
        with sandbox:
            if options.command == "journey":
                verified = drive(sandbox, options.scene, canary)
            else:
                if options.command == "demo":
                    verified = drive(sandbox, options.scene, canary)
                    sandbox.resume()
                    answer_plainly(sandbox, canary)
                    print(f"\njourney ok: {verified}\n")
                show(sandbox)
                watch(sandbox)
    except KeyboardInterrupt:
        print("stopped", flush=True)
        return 0 if options.command != "journey" else 130
    except BROKEN as error:
        print(f"FAILED: {error}", file=sys.stderr, flush=True)
        return 1
    if options.command == "journey":
        print(f"journey ok: {verified}", flush=True)
    return 0


def drive(sandbox: Sandbox, names: Sequence[str], canary: str) -> str:
    """Drive scenes, one after the other; return what they verified, in a line.

    Raises: PromiseBroken, whatever went wrong, with the name of the scene before it.
    """
    verified = []
    for name in names:
        sandbox.say(f"{name}: {scenes()[name]}")
        try:
            sandbox.resume()
            verified.append(drive_of(name)(sandbox, canary, sandbox.say))
        except BROKEN as error:
            raise promises.PromiseBroken(f"{name}: {error}") from error
        if len(names) > 1:
            print(f"{name} ok: {verified[-1]}", flush=True)
    return "; ".join(verified)


def stop(_number: int, _frame: object) -> None:
    """Begin the orderly end. A signal more would break it off and leave processes and files behind, and there often is
    one: an impatient Ctrl-C, or `make`, which passes SIGTERM on to a program whose group has it already."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="sandbox", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=["demo", "journey", "up", "code"])
    names = [citizen.username for citizen in everybody()]
    parser.add_argument("citizen", nargs="?", choices=names, default=names[0], help="of `code`")
    parser.add_argument(
        "--scene",
        nargs="+",
        choices=[*scenes(), ALL],
        default=["online"],
        metavar="NAME",
        help="of `journey`, one or more, or all:\n"
        + "\n".join(f"{name:12} {shows}" for name, shows in scenes().items()),
    )
    parser.add_argument("--db", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--work", type=Path, help="folder for everything, kept afterwards (default: a temporary one)")
    options = parser.parse_args()
    options.scene = list(scenes() if ALL in options.scene else dict.fromkeys(options.scene))
    return options


def say() -> promises.Say:
    """Print each step with the seconds since the start."""
    started = time.monotonic()
    return lambda step: print(f"[{time.monotonic() - started:6.1f} s] {step}", flush=True)


def answer_plainly(sandbox: Sandbox, canary: str) -> None:
    """Start the agencies anew without the text that was searched for: nobody who tries it by hand is to read that."""
    agency = sandbox.processes["agency"]
    agency.command = ["" if part == canary else part for part in agency.command]
    sandbox.restart("agency")


def show(sandbox: Sandbox) -> None:
    """What to try by hand."""
    print("Everything runs. Try it by hand:")
    clients = {
        "bank": ("a bank (Python)", sandbox.bank_url),
        "node-bank": ("a bank (Node.js)", sandbox.node_bank_url),
        "desk": ("an office's counter", sandbox.desk_url),
    }
    for name, url in (
        *(clients[name] for name in clients if name in sandbox.processes),
        ("the platform", sandbox.issuer),
        ("download", f"{sandbox.issuer}/download"),
        ("to a counter", f"{sandbox.issuer}/counter"),
        ("your record", f"{sandbox.issuer}/record"),
        ("verify a file", f"{sandbox.issuer}/verify"),
        ("set up a passkey", f"{sandbox.issuer}/account/methods/passkey"),
        ("your mailbox", sandbox.mailbox_url),
        ("for developers", f"{sandbox.issuer}/developer"),
        ("resource proxy", f"{sandbox.proxy_url}/.well-known/oauth-protected-resource"),
    ):
        print(f"  {name:19} {url}")
    print("Sign in as one of these synthetic citizens; an authenticator app takes the secret, or ask for a code:")
    for citizen in sandbox.citizens:
        print(f"  user name {citizen.username:5} password {citizen.password:18} secret {citizen.totp_secret}")
        print(f"            code: {PYTHON} -m client_examples.sandbox code {citizen.username}")
        known = documents_of(citizen.national_id)
        print(f"            national id {known.national_id}, born {known.birthdate}")
        print(f"            health insurance card {known.card_number}, password {known.card_password}")
        print(f"            national ID card of {known.issued_on}, {known.issued_at}, {known.issue_kind}")
    for one in sandbox.minors:
        print(f"  user name {one.username:5} password {one.password:18} secret {one.totp_secret}")
        print("            not of age: can refuse, and download their own data")
    if sandbox.staff:
        print(
            "At the office's counter, sign in as one of its clerks (codes likewise); its administrator appoints more:"
        )
    for place, one in enumerate(sandbox.staff):
        where = "clerk" if place else f"administrator, {sandbox.issuer}/office"
        print(f"  user name {one.username:5} password {one.password:18} secret {one.totp_secret} {where}")
    show_card(sandbox)
    print(f"Logs: {sandbox.work}/logs    Ctrl-C stops everything.", flush=True)


def show_card(sandbox: Sandbox) -> None:
    """How to sign in at the highest level by hand."""
    citizen, ca = sandbox.citizens[0], sandbox.work / "ca"
    print("Banks ask for more: the Citizen Digital Certificate. It signs a text of the page; paste what is printed:")
    print(f"  {PYTHON} -m client_examples.demo_ca --folder {ca} sign {citizen.username} \\")
    print(f"    --password {citizen.card_password} 'mydata sign-in ...'")
    print("or, with the text saved as mydata-challenge.txt, as card software does:")
    print(f"  openssl pkcs12 -in {citizen.card} -passin pass:{citizen.card_password} -nodes -out card.pem")
    print("  openssl cms -sign -binary -in mydata-challenge.txt -signer card.pem -outform PEM")


def watch(sandbox: Sandbox) -> None:
    """Keep serving.  Raises: ProcessFailed when a process ends by itself, KeyboardInterrupt on Ctrl-C."""
    ended = threading.Event()
    while not ended.wait(LOOK_EVERY_S):
        for process in sandbox.processes.values():
            process.check()


if __name__ == "__main__":
    sys.exit(main())
