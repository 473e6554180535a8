"""How Chromium applies our policy for forms: not to the form alone, but to every redirect that follows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser

from authz_server.portal.headers import content_security_policy
from tests.browser.support import LIMIT_MS
from tests.support.listening import listening

pytestmark = pytest.mark.browser
FORM = b"<!doctype html><title>asked</title><form method=post><button id=agree>Agree</button></form>"


@contextmanager
def site(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A web site of its own origin; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with listening(server):
        yield str(server.server_port)


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.mark.parametrize("goes_on", [True, False], ids=["consent", "sign-in"])
def test_a_client_may_send_the_browser_on_after_consent_but_no_password_goes_there(
    chromium: Browser, goes_on: bool
) -> None:
    with (
        site(lambda to: send(to, 200, b"<title>arrived</title>", Content_Type="text/html")) as third,
        site(lambda to: send(to, 303, Location=f"http://localhost:{third}/")) as client,
    ):
        callback = f"http://127.0.0.1:{client}/callback"
        policy = content_security_policy((callback,), goes_on=goes_on)

        def platform(to: BaseHTTPRequestHandler) -> None:
            if to.command == "POST":
                to.rfile.read(int(to.headers["Content-Length"]))
                send(to, 303, Location=callback)
            else:
                send(to, 200, FORM, Content_Type="text/html", Content_Security_Policy=policy)

        with site(platform) as own:
            page = chromium.new_page(java_script_enabled=False)
            page.goto(f"http://127.0.0.1:{own}/")
            with page.expect_event("console" if not goes_on else "load", timeout=LIMIT_MS):
                page.click("#agree", no_wait_after=True)
            assert page.title() == ("arrived" if goes_on else "asked")
            page.close()
