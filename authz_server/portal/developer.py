"""For whoever writes a client: the addresses to begin from, and what this server says of a message that they made.

Routes
    GET  /developer   the addresses and the form
    POST /developer   form: csrf, message (a client assertion, a DPoP proof, a JWKS, the header of a JWE)

To its peers a server says no more than `invalid_client`. Whoever has the message itself is told here which check it
does not pass (oauth/linter.py). It is neither kept nor logged, and nothing of it is spent.
"""

from collections.abc import Mapping
from typing import Final

from flask import Blueprint, current_app, make_response, render_template, request
from flask_babel import gettext
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from authz_server.clients.model import Client
from authz_server.core import clock
from authz_server.core.dpop import comparable_url
from authz_server.extensions import services
from authz_server.identity import cookies, csrf
from authz_server.identity.guard import current
from authz_server.oauth.client_auth import PrivateKeyJwt
from authz_server.oauth.linter import Linter, Report
from authz_server.portal.form_problem import FormProblem

blueprint = Blueprint("developer", __name__)
ACTION: Final = "developer"
DATA: Final = "/data/"  # what the proxy answers for clients
# Where this server takes a proof, and whether an access token comes with it.
PROOFS: Final[Mapping[str, bool]] = {
    "oauth.par": False,
    "oauth.token": False,
    "oauth.announce": False,
    "oauth.report_copy": False,
    "oauth.userinfo": True,
    "oauth.query_grant": True,
    "oauth.revoke_grant": True,
    "oauth.query_erasure": True,
    "oauth.answer_erasure": True,
}
MOST_REPEATED: Final = 64 * 1024  # of what was pasted, shown again


@blueprint.get("/developer")
def show() -> Response:
    """Show the addresses and the form."""
    return _page()


@blueprint.post("/developer")
def check() -> Response:
    """Read what was pasted and say what it is, and whether it would be taken."""
    if not csrf.check(cookies.form_secret(), ACTION, request.form.get("csrf")):
        problem = gettext("The form was too old, or cookies are switched off. Please try again.")
        return _page(error=FormProblem(problem), status=403)
    message = request.form.get("message", "").strip()
    if not message:
        error = None if "lang" in request.form else gettext("Paste a message first.")
        return _page(error=error, status=200 if error is None else 400)
    known = services()
    linter = Linter(assertions=PrivateKeyJwt(known.settings.issuer, known.registry), brings_token=_brings_token)
    return _page(report=linter.report(message, now=clock.now()))


def _brings_token(method: str, url: str) -> bool | None:
    """Whether a client sends an access token with its proof to this URL; None where nobody takes a proof."""
    known = services()
    try:
        *origin, path = comparable_url(url)
    except ValueError:
        return None
    if origin == list(comparable_url(known.settings.proxy_url)[:3]) and path.startswith(DATA):
        is_dataset = known.catalogue.find_dataset(path.removeprefix(DATA)) is not None
        return True if is_dataset and method == "GET" else None
    at_home = origin == list(comparable_url(known.settings.issuer)[:3])
    return PROOFS.get(_endpoint(method, path)) if at_home else None


def _endpoint(method: str, path: str) -> str:
    """The name of what answers such a request here; empty if nothing does."""
    if not method.isupper():  # RFC 9110 section 9.1: to a router `post` may do, to a proof it does not
        return ""
    try:
        endpoint, _ = current_app.url_map.bind("").match(path, method=method)
    except HTTPException:
        return ""
    return str(endpoint)


def _page(*, report: Report | None = None, error: str | None = None, status: int = 200) -> Response:
    known = services()
    secret = cookies.form_secret() or cookies.new_form_secret()
    response = make_response(
        render_template(
            "developer.html",
            signed_in=current(),
            report=report,
            client=_client(report),
            error=error,
            message=_repeated(report),
            issuer=known.settings.issuer,
            proxy_url=known.settings.proxy_url,
            csrf=csrf.csrf_token(secret, ACTION),
        ),
        status,
    )
    cookies.keep_form_secret(response, secret)
    return response


def _repeated(report: Report | None) -> str:
    """What was pasted, if it is no secret: a key that is refused may well be one."""
    message = request.form.get("message", "") if request.method == "POST" else ""
    may_be_secret = report is not None and report.refused is not None and report.kind in {"keys", "unknown"}
    return "" if may_be_secret or len(message) > MOST_REPEATED else message


def _client(report: Report | None) -> Client | None:
    """Whose an assertion says it is, of the clients that `/recipients` tells everybody of."""
    found = services().registry.client(report.client_id) if report is not None and report.client_id else None
    return found if found is not None and found.policy.may_ask_for_datasets else None
