"""A browser without a screen: cookies, redirects, and forms as they stand on the page. It runs no scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests

TIMEOUT_S = 90


class NotOnThePage(Exception):
    """The page does not hold what a person would have used; the text says what it does hold."""


@dataclass
class Control:
    """An input or button of a form; `label` is the text of a button or of the label that names an input."""

    name: str
    kind: str
    value: str
    id: str = ""
    label: str = ""
    checked: bool = False


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

    def form_with(self, control: str) -> Form:
        """The form that has a control of this name or id.  Raises: NotOnThePage."""
        for form in self.forms:
            if any(control in (item.name, item.id) for item in form.controls):
                return form
        raise NotOnThePage(f"{self.url} ({self.status}) has no {control!r}: {self.title}: {self.text[:600]}")


class Browser:
    """One person's browser. Methods return the page reached after redirects."""

    def __init__(self, language: str = "zh-TW") -> None:
        self._session = requests.Session()
        self._session.headers.update({"Accept": "text/html", "Accept-Language": language})

    def open(self, url: str) -> Page:
        """Type an address."""
        return self._read(self._session.get(url, timeout=TIMEOUT_S))

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
        form = page.form_with(button)
        data = _filled(form, button, value, fields or {})
        url = urljoin(page.url, form.action)
        if form.method == "get":
            return self._read(self._session.get(url, params=data, timeout=TIMEOUT_S))
        origin = "/".join(page.url.split("/")[:3])
        headers = {"Origin": origin, "Referer": f"{origin}/"}
        return self._read(self._session.post(url, data=data, headers=headers, timeout=TIMEOUT_S))

    def close(self) -> None:
        """Forget everything."""
        self._session.close()

    def _read(self, answer: requests.Response) -> Page:
        if "charset" not in answer.headers.get("Content-Type", ""):
            answer.encoding = "utf-8"
        reader = _PageReader()
        reader.feed(answer.text)
        links = {label: urljoin(answer.url, target) for label, target in reader.links.items()}
        return Page(
            answer.url,
            answer.status_code,
            reader.title.strip(),
            " ".join(reader.words),
            answer.text,
            tuple(reader.forms),
            links,
            answer.headers,
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
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self._open: list[str] = []
        self._link: tuple[str, list[str]] | None = None
        self._button: Control | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in {"script", "style", "title"}:
            self._open.append(tag)
        elif tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get").lower()))
        elif tag == "a" and "href" in given:
            self._link = (given["href"], [])
        elif tag in {"input", "button", "textarea", "select"} and self.forms:
            self._control(tag, given)

    def _control(self, tag: str, given: Mapping[str, str]) -> None:
        kind = given.get("type", {"input": "text", "button": "submit"}.get(tag, tag)).lower()
        default = "on" if kind in {"checkbox", "radio"} else ""
        control = Control(given.get("name", ""), kind, given.get("value", default), given.get("id", ""))
        control.checked = "checked" in given
        self.forms[-1].controls.append(control)
        if tag == "button":
            self._button = control

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()
        elif tag == "a" and self._link is not None:
            target, words = self._link
            self.links[" ".join(words)] = target
            self._link = None
        elif tag == "button":
            self._button = None

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        if not words:
            return
        if self._open:
            self.title += words if self._open[-1] == "title" else ""
            return
        self.words.append(words)
        if self._link is not None:
            self._link[1].append(words)
        if self._button is not None:
            self._button.label += words
