"""The way back to a client when a request is over."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from authz_server.clients.model import Client


@dataclass(frozen=True, kw_only=True)
class Home:
    """A client's name and the front door of its site; `home` is None where it has none (an app)."""

    name: str
    home: str | None


def home_of(client: Client, locale: str) -> Home:
    """The site that the client's first redirect URI belongs to.

    Its origin only: a redirect URI is for answers, and an error page must not link to it.
    """
    parts = urlsplit(client.redirect_uris[0] if client.redirect_uris else "")  # none: the platform's own
    home = f"{parts.scheme}://{parts.netloc}/" if parts.scheme in {"http", "https"} else None
    return Home(name=client.name.get(locale), home=home)
