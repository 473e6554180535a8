"""The pages of the desk: sign in; scan, upload or type a barcode; ask for the code; look at the data; it is gone.

Only the page with the camera needs JavaScript. No page may be cached, and what is shown is kept in memory alone.
"""

import argparse
import io
import logging
import re
import secrets
import time
import tomllib
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

from flask import Flask, Response, g, redirect, render_template, request, send_file, session, url_for
from jinja2 import ChoiceLoader, PackageLoader
from joserfc.errors import JoseError
from requests import RequestException
from werkzeug.exceptions import MethodNotAllowed, NotFound, RequestEntityTooLarge

from ..bank_web.app import load_or_create_keys
from ..bank_web.client import Refused
from ..bank_web.package import Package
from .desk import Case, Clerk, Desk
from .reading import MAX_BYTES, NothingRead, read_upload, whole

SHOWN_S = 300
IDLE_S = 1200  # as the platform's own: then the clerk has to sign in again
OPEN = {"start", "sign_in", "callback", "static"}  # to whoever has not signed in
CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self' %s; base-uri 'none'; frame-ancestors 'none'"
)


class Cases:
    """Who is at the counter, by browser; each is forgotten when its time is over, also if nobody looks any more."""

    def __init__(self) -> None:
        self._cases: dict[str, Case] = {}

    def current(self) -> Case | None:
        case = self._cases.get(session.get("case", ""))
        return case if case and case.seconds_left else None

    def begin(self, case: Case) -> None:
        self.end()
        session["case"] = name = secrets.token_urlsafe()
        self._cases[name] = case
        self._watch(name)

    def end(self) -> None:
        if "case" in session:
            session["cleared"] = True  # for the next page to say
        self._cases.pop(session.pop("case", ""), None)

    def _watch(self, name: str) -> None:
        if (case := self._cases.get(name)) and case.seconds_left:
            timer = Timer(case.seconds_left + 1, self._watch, [name])
            timer.daemon = True
            timer.start()
        else:
            self._cases.pop(name, None)


class Clerks:
    """Who works here, by browser. Args: named: whether anybody has to sign in."""

    def __init__(self, *, named: bool) -> None:
        self._clerks: dict[str, Clerk] = {}
        self._named = named

    def current(self) -> Clerk | None:
        if not self._named:
            return Clerk()
        clerk = self._clerks.get(session.get("clerk", ""))
        if clerk is None or not clerk.name or clerk.seen_at + IDLE_S < time.monotonic():
            return None
        clerk.seen_at = time.monotonic()
        return clerk

    def begin(self, clerk: Clerk) -> None:
        self.end()
        session["clerk"] = name = secrets.token_urlsafe()
        self._clerks[name] = clerk

    def begun(self) -> Clerk:
        return self._clerks.get(session.get("clerk", "")) or Clerk()

    def end(self) -> None:
        self._clerks.pop(session.pop("clerk", ""), None)


class Pages:
    """Every page of the desk. `document`: our registration."""

    def __init__(self, desk: Desk, document: Any) -> None:
        self.desk, self.document, self.cases = desk, document, Cases()
        self.clerks = Clerks(named=document.get("named_clerks", True))

    def guard(self) -> Any:
        """Nothing but the sign-in is open to whoever has not signed in."""
        if request.endpoint not in OPEN and self.clerks.current() is None:
            self.cases.end()
            return redirect(url_for("start", lang=request.args.get("lang")), code=303)
        return None

    def sign_in(self) -> Any:
        """Send whoever comes next to the platform; what was shown to whoever was here before is none of theirs."""
        self.cases.end()
        clerk, address = self.desk.sign_in(session.get("lang", "zh"))
        self.clerks.begin(clerk)
        return redirect(address, code=303)

    def callback(self) -> Any:
        """The platform sends the clerk back."""
        clerk = self.clerks.begun()
        self.desk.signed_in(clerk, request.args)
        self.clerks.begin(clerk)
        return redirect(url_for("start"), code=303)

    def sign_out(self) -> Any:
        """Clear everything, first here."""
        clerk = self.clerks.current()
        self.cases.end()
        self.clerks.end()
        if clerk and clerk.name:
            self.desk.sign_out(clerk)
        return redirect(url_for("start"), code=303)

    def page(self, name: str, status: int = 200, **values: Any) -> tuple[str, int]:
        session["lang"] = (request.args.get("lang") or session.get("lang") or request.accept_languages.best or "zh")[:2]
        values |= {"office": self.document, "counter": self.document["counters"][self.desk.counter]["name"]}
        values |= {"clerk": self.clerks.current()}
        values |= {"here": name.partition(".")[0], "cleared": session.pop("cleared", False)}
        return render_template(name, zh=session["lang"] != "en", **values), status

    def start(self) -> Any:
        return self.page("start.html")

    def camera(self) -> Any:
        return self.page("camera.html")

    def barcode(self) -> Any:
        """Take a scanner's line, typed characters, or a file."""
        sent = request.files.get("file")
        g.read = request.form.get("barcode", "").strip() or (sent and sent.filename and read_upload(sent.read())) or ""
        self.cases.begin(self.desk.announce(whole(g.read), self.clerks.current() or Clerk()))
        return redirect(url_for("ask"), code=303)

    def ask(self) -> Any:
        case = self.cases.current()
        if case is None:
            return self.clear()
        return self.page("ask.html", case=case) if case.barcode else redirect(url_for("data"), code=303)

    def answer(self) -> Any:
        """Take the code that the citizen has told; or have another one sent."""
        case = self.cases.current()
        if case is None:
            return self.clear()
        code = "".join(request.form.get("code", "").split())
        if "again" not in request.form and not ("same" in request.form and re.fullmatch("[0-9]{6}", code)):
            missing = "part of a code" if "same" in request.form else "same"  # and the platform is not asked
            return self.page("ask.html", 400, case=case, problem=missing, code=code)
        try:
            if "again" in request.form:
                self.desk.announce_again(case)
                return redirect(url_for("ask"), code=303)
            self.desk.redeem(case, code)
        except Refused as refusal:
            if str(refusal).startswith("login_required"):
                raise
            return self.page("ask.html", 400, case=case, problem=str(refusal).partition(",")[0])
        return redirect(url_for("data"), code=303)

    def data(self) -> Any:
        case = self.cases.current()
        if case is None or not case.fetches:
            return redirect(url_for("ask"), code=303) if case else self.clear()
        self.desk.fetch_all(case)
        printing, case.printing = case.printing, ""
        return self.shown(case, printing=printing)

    def shown(self, case: Case, status: int = 200, **values: Any) -> Any:
        """The data; comes back for what is being prepared, and to be empty when the time is over."""
        refresh = {"Refresh": f"{min(case.wait_s or case.seconds_left, case.seconds_left)}; url={url_for('data')}"}
        return *self.page("data.html", status, case=case, **values), refresh

    def copy(self) -> Any:
        """Print or save a dataset: first the citizen's record says so, then it is done."""
        case, form = self.cases.current(), request.form
        shown = [one for one in case.fetches if one.package] if case else []
        fetch = next((one for one in shown if one.grant["dataset"] == form.get("dataset")), None)
        action = "save" if "save" in form else "print"
        if case is None or fetch is None or fetch.package is None or action not in fetch.grant.get("actions", ()):
            return redirect(url_for("data"), code=303)
        try:
            self.desk.record_copy(case, fetch, action)
        except (Refused, RequestException) as error:
            if str(error).startswith("login_required"):
                raise
            return self.shown(case, 400, problem="copy")
        if action == "print":
            case.printing = fetch.grant["dataset"]
            return redirect(url_for("data"), code=303)
        return as_saved(fetch.package, f"{fetch.grant['dataset']}-{fetch.grant['transaction']}", form["save"])

    def clear(self) -> Any:
        self.cases.end()
        return redirect(url_for("start"), code=303)

    def elsewhere(self, _error: Exception) -> Any:
        """Lead who opens the address of a form again, or one that there is not, back to the beginning."""
        return redirect(url_for("start"), code=303)

    def refused(self, error: Exception) -> Any:
        reason = str(error).partition(",")[0] if isinstance(error, Refused | NothingRead) else type(error).__name__
        if reason in {"login_required", "access_denied"}:  # nobody, or nobody any more, is signed in
            self.cases.end()
            self.clerks.end()
        return self.page("start.html", 400, problem=reason)


def as_saved(package: Package, name: str, which: str) -> Response:
    """A file to save: one of those that the agency signed, or all of them with its signature, as they came."""
    if which in package.files:
        return send_file(io.BytesIO(package.files[which]), as_attachment=True, download_name=f"{name}-{which}")
    return send_file(io.BytesIO(package.whole), as_attachment=True, download_name=f"{name}.zip")


def create_app(desk: Desk, document: Any) -> Flask:
    """Return the WSGI application. `document`: our registration."""
    app, pages = Flask(__name__), Pages(desk, document)
    # What was fetched is shown as the bank shows it.
    app.jinja_loader = ChoiceLoader([PackageLoader(__package__), PackageLoader("client_examples.bank_web")])
    app.secret_key = secrets.token_bytes(32)
    # Lax: the cookie has to come along when the platform sends the clerk back. Its name is ours on a shared host.
    app.config.update(SESSION_COOKIE_NAME="desk", SESSION_COOKIE_SAMESITE="Lax", MAX_CONTENT_LENGTH=MAX_BYTES + 1024)
    app.before_request(pages.guard)
    for method, rule, view in (
        ("GET", "/", pages.start),
        ("POST", "/sign-in", pages.sign_in),
        ("GET", "/callback", pages.callback),
        ("POST", "/sign-out", pages.sign_out),
        ("GET", "/camera", pages.camera),
        ("POST", "/barcode", pages.barcode),
        ("GET", "/ask", pages.ask),
        ("POST", "/ask", pages.answer),
        ("GET", "/data", pages.data),
        ("POST", "/copy", pages.copy),
        ("POST", "/clear", pages.clear),
    ):
        app.add_url_rule(rule, view.__name__, view, methods=[method])
    for kind in (Refused, NothingRead, JoseError, RequestException, RequestEntityTooLarge):
        app.register_error_handler(kind, pages.refused)
    for unknown in (NotFound, MethodNotAllowed):
        app.register_error_handler(unknown, pages.elsewhere)
    app.after_request(partial(keep_to_itself, goes_on_to=desk.issuer))
    return app


def keep_to_itself(response: Response, *, goes_on_to: str) -> Response:
    """Nothing is cached, framed or sent elsewhere but to where clerks sign in; the camera is for us alone."""
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = CSP % goes_on_to
    response.headers["Permissions-Policy"] = "camera=(self), geolocation=(), microphone=()"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def main() -> None:
    """Make keys and registration if they are not there, then serve."""
    parser = argparse.ArgumentParser(prog="counter_desk", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("desk"), help="for keys.json, jwks.json and client.toml")
    parser.add_argument("--issuer", default="http://localhost:8000")
    parser.add_argument("--bind", default="127.0.0.1:8008")
    parser.add_argument("--counter", default="counter-3", help="which of the counters in client.toml this is")
    parser.add_argument("--shown-s", type=int, default=SHOWN_S, help="seconds until a citizen's data is forgotten")
    parser.add_argument("--unnamed", action="store_true", help="clerks need not sign in (register it anew)")
    parser.add_argument("--init", action="store_true", help="make these files, then stop")
    options = parser.parse_args()
    keys, callback = load_or_create_keys(options.folder), f"http://{options.bind}/callback"
    text = Path(__file__).with_name("client.toml").read_text(encoding="utf-8").replace("127.0.0.1:8008", options.bind)
    text = text.replace("named_clerks = true", "named_clerks = false") if options.unnamed else text
    (options.folder / "client.toml").write_text(text, encoding="utf-8")
    print(f"to register: mydata client add {options.folder}/client.toml", flush=True)
    if options.init:
        return
    document = tomllib.loads(text)
    client = (options.issuer, document["client_id"], callback, keys)
    host, _, port = options.bind.rpartition(":")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    app = create_app(Desk(*client, counter=options.counter, shown_s=options.shown_s), document)
    app.run(host, int(port), threaded=True)
