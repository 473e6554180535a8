"""Five agencies in one program: /<agency id>/datasets/<dataset id>, and /<agency id>/records/... without JOSE."""

import hmac
import json
import logging
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask, Response, abort, request
from joserfc.jwk import ECKey

from .answers import Office, Wanted
from .corrections import Corrections
from .document import document_pdf
from .keys import AgencyKeys
from .mail import Mail, PushRefused
from .misbehave import Mode, cut_off
from .package import File, build
from .platform import Dataset, Platform, PlatformUnavailable
from .preparations import Preparations
from .problems import problem, retry_later
from .ticket import Refused, Ticket, TooBusy, Verifier

log = logging.getLogger("demo_agency")
TAIWAN = ZoneInfo("Asia/Taipei")


@dataclass(frozen=True)
class Agencies:
    """All that the routes need. `jose`: keys and verifier by agency id; `plain`: API key by agency id."""

    platform: Platform
    office: Office
    jose: dict[str, tuple[AgencyKeys, Verifier]]
    plain: dict[str, str]
    scan: bytes
    admin: bool = False


def create_app(agencies: Agencies) -> Flask:
    """Return the WSGI application."""
    app = Flask(__name__)
    preparations = Preparations(agencies.office.queue, agencies.office.now)

    @app.get("/<agency_id>/datasets/<dataset_id>")
    def dataset_by_ticket(agency_id: str, dataset_id: str) -> Response:
        """For the platform's JOSE connector: a ticket in, a package out."""
        keys, verifier = agencies.jose.get(agency_id) or abort(404)
        if (misbehaviour := agencies.office.switches.instead(agency_id)) is not None:
            return misbehaviour
        dataset = agencies.platform.dataset(agency_id, dataset_id) or abort(404)
        scheme, _, raw = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Refused("no ticket at all")
        ticket = verifier.verify(raw, dataset_id, level=dataset.level, now=agencies.office.now())
        return packed(agencies, dataset, ticket, keys)

    @app.get("/<agency_id>/records/<dataset_id>")
    def record_by_api_key(agency_id: str, dataset_id: str) -> Response:
        """For agencies without JOSE: a shared secret and a national id in, JSON with an unsigned PDF out."""
        api_key = agencies.plain.get(agency_id) or abort(404)
        if not hmac.compare_digest(request.headers.get("X-Api-Key", "").encode(), api_key.encode()):
            return problem(401, "the API key is not right")
        if (misbehaviour := agencies.office.switches.instead(agency_id)) is not None:
            return misbehaviour
        dataset = agencies.platform.dataset(agency_id, dataset_id) or abort(404)
        return plain(agencies, dataset, agency_id)

    @app.post("/<agency_id>/corrections")
    def correction(agency_id: str) -> Response:
        """What a citizen wants corrected, sealed to this agency; decided at once, as no real one would."""
        keys, _ = agencies.jose.get(agency_id) or abort(404)
        desk = Corrections(Mail(agency_id, agencies.platform, keys))
        desk.take(request.get_data(as_text=True), now=agencies.office.now())
        return Response(status=202)

    @app.post("/<agency_id>/preparations")
    def preparation(agency_id: str) -> Response:
        """What somebody will come for, to be ready by then; or what nobody comes for any more."""
        keys, _ = agencies.jose.get(agency_id) or abort(404)
        if (misbehaviour := agencies.office.switches.instead(agency_id)) is not None:
            return misbehaviour
        preparations.take(Mail(agency_id, agencies.platform, keys), request.get_data(as_text=True))
        return Response(status=202)

    @app.get("/health")
    def health() -> Response:
        return Response("ok\n", mimetype="text/plain")

    if agencies.admin:
        add_switchboard(app, agencies)
    app.register_error_handler(Refused, refused)
    app.register_error_handler(PushRefused, lambda error: problem(400, str(error)))
    app.register_error_handler(TooBusy, lambda _: retry_later("too many requests at once"))
    app.register_error_handler(PlatformUnavailable, lambda _: retry_later("the platform cannot be reached"))
    app.after_request(echo_trace_id)
    return app


def packed(agencies: Agencies, dataset: Dataset, ticket: Ticket, keys: AgencyKeys) -> Response:
    """The package for a verified ticket, or the answer in its place."""
    office, agency_id = agencies.office, dataset.agency_id
    wanted = Wanted(agency_id, ticket.transaction, ticket.subject, ticket.fields, ticket.parameters)
    data = office.look_up(dataset, wanted)
    if isinstance(data, Response):
        return data
    pdf = document_pdf(dataset, data, recipient=ticket.client_name, reference=ticket.transaction, issued=today(office))
    files = [File("data.json", "application/json", as_json(data)), File("document.pdf", "application/pdf", pdf)]
    if "scan" in data:
        files.append(File("scan.png", "image/png", agencies.scan))
    mode = office.switches.mode(agency_id)
    signing_key = ECKey.generate_key("P-256", auto_kid=True) if mode is Mode.WRONG_SIGNATURE else keys.signing
    package = build(agency_id, ticket, files, signing_key=signing_key, now=office.now())
    response = Response(package, mimetype="application/jose", headers={"Cache-Control": "no-store"})
    return cut_off(response) if mode is Mode.CUT_OFF else response


def plain(agencies: Agencies, dataset: Dataset, agency_id: str) -> Response:
    """The record for a request that carried the API key, or the answer in its place."""
    office, transaction = agencies.office, request.headers.get("X-Transaction-Id", "")
    parameters = request.args.to_dict()
    fields = parameters.pop("fields", "").split(",")
    wanted = Wanted(agency_id, transaction, request.headers.get("X-Citizen-Id", ""), fields, parameters)
    data = office.look_up(dataset, wanted)
    if isinstance(data, Response):
        return data
    pdf = document_pdf(dataset, data, recipient="MyData", reference=transaction, issued=today(office))
    body = as_json({"data": data, "pdf": b64encode(pdf).decode()})
    response = Response(body, mimetype="application/json", headers={"Cache-Control": "no-store"})
    return cut_off(response) if office.switches.mode(agency_id) is Mode.CUT_OFF else response


def add_switchboard(app: Flask, agencies: Agencies) -> None:
    """PUT /admin/<agency id>/<mode>: misbehave from now on. For tests; from this machine only."""

    @app.put("/admin/<agency_id>/<mode>")
    def switch(agency_id: str, mode: str) -> Response:
        if request.remote_addr not in {"127.0.0.1", "::1"} or agency_id not in agencies.jose | agencies.plain:
            abort(404)
        if mode not in set(Mode):
            return problem(400, f"modes are {', '.join(Mode)}")
        agencies.office.switches.set(agency_id, Mode(mode))
        return Response(status=204)


def refused(error: Refused) -> Response:
    """One answer for every bad ticket; the reason is for this agency's log."""
    log.warning("ticket refused: %s", error)
    response = problem(401, "the ticket was refused")
    response.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'  # RFC 6750 section 3
    return response


def echo_trace_id(response: Response) -> Response:
    """Answer with the caller's trace id, so that both logs can be laid side by side."""
    if trace_id := request.headers.get("X-FAPI-Interaction-ID"):
        response.headers["X-FAPI-Interaction-ID"] = trace_id
    return response


def as_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def today(office: Office) -> str:
    return datetime.fromtimestamp(office.now(), TAIWAN).strftime("%Y-%m-%d")
