"""The bank's web site: choose a product, go to the platform, come back, see the data. No page needs JavaScript."""

import argparse
import json
import logging
import os
import tomllib
from pathlib import Path
from typing import Any

from flask import Flask, abort, redirect, render_template, request, session, url_for
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from requests import RequestException
from werkzeug.exceptions import HTTPException

from .client import LATER, Client, Refused
from .events import Journeys
from .package import BadPackage


def create_app(client: Client, document: Any, details: Any) -> Flask:
    """Return the WSGI application. `document`: our registration; `details`: what each of its purposes asks for."""
    app = Flask(__name__)
    app.secret_key = os.urandom(32)
    # Lax: the cookie has to come along when the platform sends the citizen back.
    app.config.update(SESSION_COOKIE_SAMESITE="Lax", SESSION_COOKIE_SECURE=client.redirect_uri[:6] == "https:")
    journeys = Journeys(app, client)

    def page(name: str, status: int = 200, **values: Any) -> tuple[str, int, dict[str, str]]:
        session["lang"] = (request.args.get("lang") or session.get("lang") or request.accept_languages.best or "zh")[:2]
        return render_template(name, zh=session["lang"] != "en", **values), status, {"Cache-Control": "no-store"}

    app.add_url_rule("/", "start", lambda: page("start.html", document=document))

    @app.post("/apply/<purpose>")
    def apply(purpose: str) -> Any:
        journey, address = client.start(details.get(purpose) or abort(404), session.get("lang", "zh"))
        session["journey"], journeys[journey.state] = journey.state, journey
        return redirect(address, code=303)

    @app.get("/callback")
    def callback() -> Any:
        client.finish(journeys.get(session.get("journey", "")) or abort(400), request.args)
        return redirect(url_for("result"), code=303)

    @app.get("/result")
    def result() -> Any:
        journey = journeys.get(session.get("journey", "")) or abort(400)
        with journey.lock:  # two tabs must not both spend a token
            for fetch in [fetch for fetch in journey.fetches if fetch.status in LATER.values()]:
                try:
                    client.fetch(journey, fetch)
                except BadPackage as error:
                    fetch.note = f"{error}, {fetch.note}"
        waits = [fetch.wait_s for fetch in journey.fetches if fetch.status in LATER.values()]
        return page("result.html", fetches=journey.fetches, refresh_s=max(waits, default=0))

    for kind in (Refused, JoseError, RequestException, HTTPException):
        app.register_error_handler(kind, lambda error: page("refused.html", getattr(error, "code", 400), error=error))
    return app


def load_or_create_keys(folder: Path) -> list[ECKey]:
    """Our keys, of which only their owner can read the private part; the public part is for the registration."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "keys.json").exists():
        uses: list[Any] = [{"use": "sig", "alg": "ES256"}, {"use": "enc", "alg": "ECDH-ES"}]
        made = [ECKey.generate_key("P-256", use, auto_kid=True) for use in uses]
        with os.fdopen(os.open(folder / "keys.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump([key.as_dict(private=True) for key in made], file)
        (folder / "jwks.json").write_text(json.dumps({"keys": [key.as_dict(private=False) for key in made]}))
    return [ECKey.import_key(key) for key in json.loads((folder / "keys.json").read_text())]


def main() -> None:
    """Make keys and registration if they are not there, then serve."""
    parser = argparse.ArgumentParser(prog="bank_web", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("bank"), help="for keys.json, jwks.json and client.toml")
    parser.add_argument("--issuer", default="http://localhost:8000")
    parser.add_argument("--bind", default="127.0.0.1:8003")
    parser.add_argument("--init", action="store_true", help="make these files, then stop")
    options = parser.parse_args()
    keys, callback = load_or_create_keys(options.folder), f"http://{options.bind}/callback"
    text = Path(__file__).with_name("client.toml").read_text().replace("127.0.0.1:8003", options.bind)
    (options.folder / "client.toml").write_text(text)
    print(f"to register: mydata client add {options.folder}/client.toml", flush=True)
    if options.init:
        return
    document, details = tomllib.loads(text), json.loads(Path(__file__).with_name("requests.json").read_text())
    host, _, port = options.bind.rpartition(":")
    app = create_app(Client(options.issuer, document["client_id"], callback, keys), document, details)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # its access log would hold authorization codes
    app.run(host, int(port), threaded=True)
