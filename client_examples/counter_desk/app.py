"""The pages of the desk: scan, upload or type a barcode; ask the citizen for the code; look at the data; it is gone.

Only the page with the camera needs JavaScript. No page may be cached, and what is shown is kept in memory alone.
"""

import argparse
import logging
import secrets
import tomllib
from pathlib import Path
from threading import Timer
from typing import Any

from flask import Flask, Response, redirect, render_template, request, session, url_for
from joserfc.errors import JoseError
from requests import RequestException
from werkzeug.exceptions import RequestEntityTooLarge

from ..bank_web.app import load_or_create_keys
from ..bank_web.client import Refused
from .desk import Case, Desk
from .reading import MAX_BYTES, NothingRead, read_upload

SHOWN_S = 300
CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
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
        self._cases.pop(session.pop("case", ""), None)

    def _watch(self, name: str) -> None:
        if (case := self._cases.get(name)) and case.seconds_left:
            timer = Timer(case.seconds_left + 1, self._watch, [name])
            timer.daemon = True
            timer.start()
        else:
            self._cases.pop(name, None)


class Pages:
    """Every page of the desk. `document`: our registration."""

    def __init__(self, desk: Desk, document: Any) -> None:
        self.desk, self.document, self.cases = desk, document, Cases()

    def page(self, name: str, status: int = 200, **values: Any) -> tuple[str, int]:
        session["lang"] = request.args.get("lang", session.get("lang", "zh-TW"))[:5]
        values |= {"office": self.document, "counter": self.document["counters"][self.desk.counter]["name"]}
        return render_template(name, zh=session["lang"] != "en", **values), status

    def start(self) -> Any:
        return self.page("start.html")

    def camera(self) -> Any:
        return self.page("camera.html")

    def barcode(self) -> Any:
        """Take a scanner's line, typed characters, or a file."""
        sent = request.files.get("file")
        text = request.form.get("barcode", "").strip() or (read_upload(sent.read()) if sent and sent.filename else "")
        if not text:
            raise NothingRead("nothing was given")
        self.cases.begin(self.desk.announce(text))
        return redirect(url_for("ask"), code=303)

    def ask(self) -> Any:
        case = self.cases.current()
        return self.page("ask.html", case=case) if case and case.barcode else redirect(url_for("start"), code=303)

    def answer(self) -> Any:
        """Take the code that the citizen has told; or have another one sent."""
        case = self.cases.current()
        if case is None:
            return redirect(url_for("start"), code=303)
        if not {"again", "same"} & request.form.keys():
            return self.page("ask.html", 400, case=case, problem="same")
        try:
            if "again" in request.form:
                self.desk.announce_again(case)
                return redirect(url_for("ask"), code=303)
            self.desk.redeem(case, request.form.get("code", "").strip())
        except Refused as refusal:
            return self.page("ask.html", 400, case=case, problem=str(refusal).partition(",")[0])
        return redirect(url_for("data"), code=303)

    def data(self) -> Any:
        case = self.cases.current()
        if case is None or not case.fetches:
            return redirect(url_for("start"), code=303)
        self.desk.fetch_all(case)
        # Comes back for what is being prepared, and to be empty when the time is over.
        refresh_s = min(case.wait_s or case.seconds_left, case.seconds_left)
        return *self.page("data.html", case=case), {"Refresh": str(refresh_s)}

    def clear(self) -> Any:
        self.cases.end()
        return redirect(url_for("start"), code=303)

    def refused(self, error: Exception) -> Any:
        reason = str(error).partition(",")[0] if isinstance(error, Refused | NothingRead) else type(error).__name__
        return self.page("start.html", 400, problem=reason)


def create_app(desk: Desk, document: Any) -> Flask:
    """Return the WSGI application. `document`: our registration."""
    app, pages = Flask(__name__), Pages(desk, document)
    app.secret_key = secrets.token_bytes(32)
    app.config.update(SESSION_COOKIE_SAMESITE="Strict", MAX_CONTENT_LENGTH=MAX_BYTES + 1024)
    for method, rule, view in (
        ("GET", "/", pages.start),
        ("GET", "/camera", pages.camera),
        ("POST", "/barcode", pages.barcode),
        ("GET", "/ask", pages.ask),
        ("POST", "/ask", pages.answer),
        ("GET", "/data", pages.data),
        ("POST", "/clear", pages.clear),
    ):
        app.add_url_rule(rule, view.__name__, view, methods=[method])
    for kind in (Refused, NothingRead, JoseError, RequestException, RequestEntityTooLarge):
        app.register_error_handler(kind, pages.refused)
    app.after_request(keep_to_itself)
    return app


def keep_to_itself(response: Response) -> Response:
    """Nothing is cached, framed or sent elsewhere; the camera is for us alone."""
    if response.mimetype == "text/html":
        response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Security-Policy"] = CSP
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
    parser.add_argument("--init", action="store_true", help="make these files, then stop")
    options = parser.parse_args()
    keys, callback = load_or_create_keys(options.folder), f"http://{options.bind}/callback"
    text = Path(__file__).with_name("client.toml").read_text(encoding="utf-8").replace("127.0.0.1:8008", options.bind)
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
