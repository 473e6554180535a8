"""A browser without a screen: cookies, redirects, and forms as they stand on the page. It runs no scripts."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

TIMEOUT_S = 90
MOST_REDIRECTS = 20
MOST_BUSY = 20
LONGEST_PAUSE_S = 30  # whatever a server says


class NotOnThePage(Exception):
    """The page does not hold what a person would have used; the text says what it does hold."""


def patient(most_busy: int = MOST_BUSY) -> HTTPAdapter:
    """What lets a session ask again where it is told that there is no room, and when to come back: nothing was done.

    On a busy machine that is said by servers that hardly anybody uses (RFC 9110 section 15.6.4).
    Args: most_busy: how often.
    """
    busy = Retry(
        total=None, connect=0, read=False, redirect=0, other=0,
        status=most_busy, status_forcelist=[503], allowed_methods=None, raise_on_status=False,
        retry_after_max=LONGEST_PAUSE_S,
    )  # fmt: skip
    return HTTPAdapter(max_retries=busy)


@dataclass
class Control:
    """An input or button of a form that can be used (not disabled)."""

    name: str
    kind: str
    value: str
    id: str = ""
    checked: bool = False
    action: str = ""  # of a button that posts somewhere else than its form


@dataclass
class Form:
    """A form with its controls in the order of the page."""

    action: str
    method: str
    controls: list[Control] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    """What a person sees after all redirects."""

    url: str
    status: int
    title: str
    text: str
    html: str
    forms: tuple[Form, ...]
    links: Mapping[str, str]
    headers: Mapping[str, str]
    refresh_s: int | None

    def form_with(self, control: str) -> Form:
        """The form that has a control of this name or id.  Raises: NotOnThePage."""
        for form in self.forms:
            if any(control in (item.name, item.id) for item in form.controls):
                return form
        raise NotOnThePage(f"{self.url} ({self.status}) has no {control!r}: {self.title}: {self.text[:600]}")


class Browser:
    """One person's browser. Methods return the page reached after redirects.

    Args: stop_at: redirects to addresses that begin so are not followed; `stopped_at` then has the address; most_busy:
    how often to come back to a server that has no room.
    """

    def __init__(self, language: str = "zh-TW", stop_at: str = "", *, most_busy: int = MOST_BUSY) -> None:
        self.stop_at = stop_at
        self.stopped_at = ""
        self._session = requests.Session()
        self._session.mount("http://", patient(most_busy))
        self._session.headers.update({"Accept": "text/html", "Accept-Language": language})

    def open(self, url: str) -> Page:
        """Type an address."""
        return self._follow(requests.Request("GET", url))

    def submit(
        self,
        page: Page,
        button: str,
        *,
        value: str | None = None,
        fields: Mapping[str, str | Sequence[str]] | None = None,
    ) -> Page:
        """Fill in and press: `button` is the name or id of a control, `value` tells buttons of one name apart.

        `fields` replaces what the form's controls of these names hold; ticked boxes are those whose values are listed.
        """
        return self.press(page, page.form_with(button), button, value=value, fields=fields)

    def press(
        self,
        page: Page,
        form: Form,
        button: str = "",
        *,
        value: str | None = None,
        fields: Mapping[str, str | Sequence[str]] | None = None,
    ) -> Page:
        """The same with a form of the page that was found otherwise; no `button`: the Enter key."""
        data = _filled(form, button, value, fields or {})
        elsewhere = next((item.action for item in form.controls if button in (item.name, item.id) and item.action), "")
        url = urljoin(page.url, elsewhere or form.action)
        if form.method == "get":
            return self._follow(requests.Request("GET", url, params=data))
        origin = "/".join(page.url.split("/")[:3])
        return self._follow(requests.Request("POST", url, data=data, headers={"Origin": origin}))

    def _follow(self, request: requests.Request) -> Page:
        for _ in range(MOST_REDIRECTS):
            answer = self._session.send(
                self._session.prepare_request(request), timeout=TIMEOUT_S, allow_redirects=False
            )
            if not answer.is_redirect:
                return _read(answer)
            target = urljoin(answer.url, answer.headers["Location"])
            self.stopped_at = target if self.stop_at and target.startswith(self.stop_at) else ""
            if self.stopped_at:
                return _read(answer)
            request = requests.Request("GET", target)
        raise NotOnThePage(f"more than {MOST_REDIRECTS} redirects, the last to {target}")

    def upload(self, page: Page, field: str, name: str, content: bytes) -> Page:
        """Choose a file in the form with this field, and press its button."""
        form = page.form_with(field)
        data = {item.name: item.value for item in form.controls if item.name and item.name != field}
        files = {field: (name, content)}
        return self._follow(requests.Request("POST", urljoin(page.url, form.action), data=data, files=files))

    def save(self, url: str) -> bytes:
        """What is saved of a link to a file.  Raises: NotOnThePage if it is none."""
        answer = self._session.get(url, timeout=TIMEOUT_S, allow_redirects=False)
        if answer.status_code != 200 or not answer.headers.get("Content-Disposition", "").startswith("attachment"):
            raise NotOnThePage(f"{url} is no file: {answer.status_code} {answer.text[:600]}")
        return answer.content

    def send(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> requests.Response:
        """What a script of a page posts, with the cookies of the browser."""
        origin = "/".join(url.split("/")[:3])
        given = {"Accept": "application/json", "Origin": origin, **headers}
        return self._session.post(url, data=form, headers=given, timeout=TIMEOUT_S, allow_redirects=False)

    def settle(self, page: Page, *, limit_s: float = TIMEOUT_S) -> Page:
        """Let the page refresh itself as it asks to, until it no longer does; return the last one."""
        deadline = time.monotonic() + limit_s
        while page.refresh_s is not None and time.monotonic() < deadline:
            time.sleep(page.refresh_s)
            page = self.open(page.url)
        return page

    def cookie(self, name: str) -> str:
        """The value of a cookie; empty if there is none."""
        return self._session.cookies.get(name) or ""

    def close(self) -> None:
        """Forget everything."""
        self._session.close()


def _read(answer: requests.Response) -> Page:
    if "charset" not in answer.headers.get("Content-Type", ""):
        answer.encoding = "utf-8"
    reader = _PageReader()
    reader.feed(answer.text)
    return Page(
        url=answer.url,
        status=answer.status_code,
        title=reader.title.strip(),
        text=" ".join(reader.words),
        html=answer.text,
        forms=tuple(reader.forms),
        links={label: urljoin(answer.url, target) for label, target in reader.links.items()},
        headers=answer.headers,
        refresh_s=reader.refresh_s,
    )


def _filled(
    form: Form, button: str, value: str | None, fields: Mapping[str, str | Sequence[str]]
) -> list[tuple[str, str]]:
    """Names and values as a browser sends them: successful controls only, in the order of the page."""
    unknown = set(fields) - {control.name for control in form.controls}
    if unknown:
        raise NotOnThePage(f"the form at {form.action} has no field {', '.join(sorted(unknown))}")
    data: list[tuple[str, str]] = []
    for control in form.controls:
        given = fields.get(control.name)
        if control.kind in {"submit", "button"}:
            pressed = button in (control.name, control.id) and (value is None or value == control.value)
            sent = [control.value] if pressed and control.name else []
        elif control.kind in {"checkbox", "radio"}:
            ticked = (
                control.checked if given is None else control.value in ([given] if isinstance(given, str) else given)
            )
            sent = [control.value] if ticked else []
        else:
            sent = [control.value if given is None else str(given)]
        data += [(control.name, item) for item in sent if control.name]
    return data


class _PageReader(HTMLParser):
    """Collects title, visible words, links and forms."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.words: list[str] = []
        self.links: dict[str, str] = {}
        self.refresh_s: int | None = None
        self._forms: list[tuple[str, Form]] = []  # with their ids
        self._controls: list[tuple[str, Control]] = []  # with the id of their form; "" = of no form
        self._within: str = ""
        self._unseen: list[str] = []
        self._link: tuple[str, list[str]] | None = None

    @property
    def forms(self) -> tuple[Form, ...]:
        """The forms, each with its controls: those inside it and those that name it by `form="id"`."""
        for owner, form in self._forms:
            form.controls = [control for name, control in self._controls if name == owner]
        return tuple(form for _, form in self._forms)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in {"script", "style", "title"}:
            self._unseen.append(tag)
        elif tag == "form":
            self._within = given.get("id") or f"form without id {len(self._forms)}"
            self._forms.append((self._within, Form(given.get("action", ""), given.get("method", "get").lower())))
        elif tag == "meta" and given.get("http-equiv", "").lower() == "refresh":
            self.refresh_s = int(given.get("content", "0").partition(";")[0])
        elif tag == "a" and "href" in given:
            self._link = (given["href"], [])
        elif tag in {"input", "button", "textarea", "select"} and "disabled" not in given:
            kind = given.get("type", {"input": "text", "button": "submit"}.get(tag, tag)).lower()
            default = "on" if kind in {"checkbox", "radio"} else ""
            control = Control(
                given.get("name", ""),
                kind,
                given.get("value", default),
                given.get("id", ""),
                "checked" in given,
                given.get("formaction", ""),
            )
            self._controls.append((given.get("form", self._within), control))

    def handle_endtag(self, tag: str) -> None:
        if self._unseen and self._unseen[-1] == tag:
            self._unseen.pop()
        elif tag == "form":
            self._within = ""
        elif tag == "a" and self._link is not None:
            target, words = self._link
            self.links[" ".join(words)] = target
            self._link = None

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        if not words:
            return
        if self._unseen:
            self.title += words if self._unseen[-1] == "title" else ""
            return
        self.words.append(words)
        if self._link is not None:
            self._link[1].append(words)
