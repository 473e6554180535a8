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

from authz_server.core import clock
from authz_server.core.dpop import comparable_url
from authz_server.extensions import services
from authz_server.identity import cookies, csrf
from authz_server.identity.guard import current
from authz_server.oauth.client_auth import PrivateKeyJwt
from authz_server.oauth.dpop import DpopVerifier
from authz_server.oauth.linter import Linter, Report, Target
from authz_server.portal import form_problem

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


@blueprint.get("/developer")
def show() -> Response:
    """Show the addresses and the form."""
    return _page()


@blueprint.post("/developer")
def check() -> Response:
    """Read what was pasted and say what it is, and whether it would be taken."""
    if not csrf.check(cookies.form_secret(), ACTION, request.form.get("csrf")):
        return _page(error=form_problem.of_nobody(), status=403)
    message = request.form.get("message", "").strip("\r\n")  # of a terminal; what else is there was sent as well
    if not message.strip():
        error = None if "lang" in request.form else gettext("Paste a message first.")
        return _page(error=error, status=200 if error is None else 400)
    known = services()
    linter = Linter(
        assertions=PrivateKeyJwt(known.settings.issuer, known.registry),
        proofs=DpopVerifier(known.settings, known.secret),
        find_client=known.registry.recipients().get,
        find_target=_find_target,
    )
    return _page(report=linter.report(message, now=clock.now()))


def _find_target(method: str, url: str) -> Target | None:
    """What a client that sends this request asks with its proof; None where nobody takes one."""
    known = services()
    try:
        *origin, path = comparable_url(url)
    except ValueError:
        return None
    if origin == list(comparable_url(known.settings.proxy_url)[:3]) and path.startswith(DATA):
        is_dataset = known.catalogue.find_dataset(path.removeprefix(DATA)) is not None
        return Target(brings_token=True, is_here=False) if is_dataset and method == "GET" else None
    if origin != list(comparable_url(known.settings.issuer)[:3]):
        return None
    brings_token = PROOFS.get(_endpoint(method, path))
    return None if brings_token is None else Target(brings_token, is_here=True)


def _endpoint(method: str, path: str) -> str:
    """The name of what answers such a request here; empty if nothing does."""
    # A router puts up with `post`, `//token` and, where an id belongs, `%41`; a proof is compared octet by octet.
    if not method.isupper() or path.startswith("//") or "%" in path:
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
            error=error,
            message=request.form.get("message", "") if report and report.showable else "",
            now=f"{clock.now():%Y-%m-%dT%H:%M:%SZ}",
            issuer=known.settings.issuer,
            proxy_url=known.settings.proxy_url,
            requests_kept=known.settings.limits.client_requests_s > 0,
            csrf=csrf.csrf_token(secret, ACTION),
        ),
        status,
    )
    cookies.keep_form_secret(response, secret)
    return response
