"""What the driver needs of a browser: cookies with paths, redirects and one HTML form."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urljoin, urlsplit

from tests.bench.http_pump import Answer

_TAG = re.compile(r"<(/?)(form|input|button)\b([^>]*)>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?""")


class UnexpectedAnswer(Exception):
    """The server did not answer as the journey needs; the text says what it answered."""

    def __init__(self, step: str, answer: Answer) -> None:
        super().__init__(f"{step}: {answer.status} {answer.header('location') or ''} {answer.body[:600]!r}")


@dataclass
class Browser:
    """One signed-in person's cookies for one server."""

    cookies: dict[tuple[str, str], str] = field(default_factory=dict)  # (name, path) -> value

    def keep(self, answer: Answer) -> None:
        """Take over what the answer sets. RFC 6265 section 5.2, as far as these servers use it."""
        for line in answer.headers("set-cookie"):
            pair, *attributes = line.split(";")
            name, _, value = pair.partition("=")
            path = next((a.split("=", 1)[1] for a in attributes if a.strip().lower().startswith("path=")), "/")
            expired = any(
                a.strip().lower() in {"max-age=0", "expires=thu, 01 jan 1970 00:00:00 gmt"} for a in attributes
            )
            if expired or not value:
                self.cookies.pop((name.strip(), path), None)
            else:
                self.cookies[name.strip(), path] = value

    def get(self, url: str) -> bytes:
        return request("GET", url, {"Cookie": self._cookies_for(url), "Accept": "text/html"})

    def post(self, url: str, form: Mapping[str, str]) -> bytes:
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        headers = {"Cookie": self._cookies_for(url), "Accept": "text/html", "Origin": origin}
        return request("POST", url, headers, form)

    def _cookies_for(self, url: str) -> str:
        here = urlsplit(url).path
        return "; ".join(
            f"{name}={value}" for (name, path), value in self.cookies.items() if path == "/" or here.startswith(path)
        )


@dataclass(frozen=True)
class Form:
    action: str
    hidden: Mapping[str, str]


def form_with(answer: Answer, url: str, control: str) -> Form:
    """The form on the page that has a control of this name. Raises: UnexpectedAnswer."""
    if answer.status != 200:
        raise UnexpectedAnswer(f"page with {control!r}", answer)
    page = answer.body.decode()
    action = ""
    hidden: dict[str, str] = {}
    names: set[str | None] = set()
    for closing, tag, attributes in _TAG.findall(page):
        given = {m[1].lower(): html.unescape(m[2] or m[3] or m[4] or "") for m in _ATTRIBUTE.finditer(attributes)}
        if tag.lower() == "form" and closing:
            if control in names:
                return Form(urljoin(url, action), hidden)
        elif tag.lower() == "form":
            action, hidden, names = given.get("action", ""), {}, set()
        else:
            names.add(given.get("name"))
            if given.get("type", "").lower() == "hidden":
                hidden[given["name"]] = given.get("value", "")
    raise UnexpectedAnswer(f"page with {control!r}", answer)


def request(method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None = None) -> bytes:
    """A whole HTTP/1.1 request, ready to send."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if value]
    body = b""
    if form is not None:
        body = urlencode(form).encode()
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect_of(answer: Answer, url: str) -> str | None:
    """Where the answer redirects to, absolute; None when it does not."""
    location = answer.header("location")
    if answer.status not in {302, 303} or location is None:
        return None
    return urljoin(url, location)
