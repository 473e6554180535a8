"""Headers that keep a page to itself: nothing of it is cached, framed, referred to, or sent anywhere else.

A view whose form ends in a redirect to a client names the redirect URI in `flask.g.form_action_uris`: Chromium applies
`form-action` to redirects as well (Content Security Policy Level 3, section 6.4.1, leaves it open), and to all of them:
also to those by which a client sends the browser on from its redirect URI to another of its sites. Nobody registers
those, and if one were blocked, the citizen would be left on the consent page with the consent given. So a form that
asks for nothing secret says `flask.g.form_goes_on`, and may end anywhere in the scheme of its redirect URI, which is
https. What is given up is little: such a form holds a choice and a CSRF token that is good for that choice alone, and
to send it elsewhere somebody would have to write markup into a page that escapes everything. Forms with a password
never say it. A page that needs a script of ours (`script` in its template) is
allowed it by `flask.g.scripts_allowed`; all others allow none. The page of a download names the proxy in
`flask.g.data_origin`: its script asks that for data, and shows what it has decrypted from blob: addresses.
"""

from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from authz_server.core.serving import HSTS

PAGE: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# A file of ours, which may ask us, and may not make code of texts.
SCRIPTS: Final = "script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'; "
# Assets carry their digest in the query, so a copy never goes stale.
ASSET_CACHE: Final = "public, max-age=31536000, immutable"


def init_app(app: Flask, *, secure: bool) -> None:
    """Add the headers to every answer of the application. Args: secure: citizens reach it by https."""

    @app.after_request
    def protect(response: Response) -> Response:
        headers = response.headers
        headers["X-Content-Type-Options"] = "nosniff"
        if secure:
            headers["Strict-Transport-Security"] = HSTS
        if response.mimetype == "text/html":
            headers.update(PAGE)
            headers["Content-Security-Policy"] = content_security_policy(
                g.get("form_action_uris", ()),
                goes_on=g.get("form_goes_on", False),
                scripts=g.get("scripts_allowed", False),
                data_origin=g.get("data_origin"),
            )
        elif request.endpoint == "static" and "v" in request.args:
            headers["Cache-Control"] = ASSET_CACHE
        return response


def content_security_policy(
    form_action_uris: tuple[str, ...],
    *,
    goes_on: bool = False,
    scripts: bool = False,
    data_origin: str | None = None,
) -> str:
    """The policy of a page: our own style sheet and images, no script at all, forms to us and on to these URIs.

    Args: goes_on: the client may send the browser on from there; scripts: the page can't do without one of our own
        files, which may ask this server (passkeys); data_origin: the proxy, which such a script may ask as well, to
        show what it has fetched and decrypted.
    """
    sources = {f"{urlsplit(uri).scheme}:" if goes_on else source(uri) for uri in form_action_uris}
    targets = " ".join(["'self'", *sorted(sources)])
    allowed, images = SCRIPTS if scripts else "", "'self'"
    if scripts and data_origin is not None:
        allowed = (
            allowed.replace("connect-src 'self'", f"connect-src 'self' {source(data_origin)}") + "frame-src blob:; "
        )
        images += " blob:"
    return (
        f"default-src 'none'; style-src 'self'; img-src {images}; "
        f"{allowed}form-action {targets}; base-uri 'none'; frame-ancestors 'none'"
    )


def source(uri: str) -> str:
    """The CSP source of a registered redirect URI: its origin, or its scheme where it is an app's own.

    Built from the parsed parts, so that no character of a URI can add a directive.
    """
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"}:
        return f"{parts.scheme}:"
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host.encode("idna").decode("ascii")
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
