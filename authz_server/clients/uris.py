"""Which URLs a client may register. What is accepted here is later compared octet by octet, and followed."""

import re
from urllib.parse import parse_qsl, urlsplit

from authz_server.core.settings import LOOPBACK

LONGEST = 2000

# RFC 3986 section 2, without the characters that some parser somewhere reads differently.
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&()*+,;=%]+")
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"  # RFC 1123 section 2.1: pages can't name a host of others in a header
_AUTHORITY = re.compile(rf"(\[[0-9a-f:]+\]|{_LABEL}(?:\.{_LABEL})*)(?::([1-9][0-9]{{0,4}}))?")
_LONGEST_HOST = 253  # RFC 1035 section 2.3.4, which counts its form on the wire
# What an authorization response adds (RFC 6749 section 4.1.2, RFC 9207, JARM): there already, it would be there twice.
_RESPONSE_PARAMETERS = frozenset(
    {"code", "state", "iss", "error", "error_description", "error_uri", "response", "id_token", "access_token"}
)


def url_problem(url: str, *, sandbox: bool) -> str | None:
    """What is wrong with a URL of a client, None if nothing is. In the sandbox http on loopback is right."""
    if not _CHARACTERS.fullmatch(url) or len(url) > LONGEST:
        return "has characters that URLs do not have, or a fragment"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "is not a URL"
    authority = _AUTHORITY.fullmatch(parts.netloc)
    if authority is None:
        return "must have a host in small letters after https://, and neither wildcard nor user nor password"
    if len(authority[1]) > _LONGEST_HOST:
        return f"has a host of more than {_LONGEST_HOST} characters"
    if int(authority[2] or 1) > 65535:
        return "has an impossible port"
    if not url.startswith(("https://", "http://")):
        return "must be https"
    if parts.scheme == "http" and not (sandbox and parts.hostname in LOOPBACK):
        return "must be https; http is for loopback, in the sandbox only"
    return None


def redirect_uri_problem(uri: str, *, sandbox: bool) -> str | None:
    """What is wrong with a redirect URI, None if nothing is (RFC 6749 section 3.1.2, FAPI 2.0 section 5.3.2.2)."""
    if problem := url_problem(uri, sandbox=sandbox):
        return problem
    parts = urlsplit(uri)
    if any(segment in {".", ".."} for segment in parts.path.replace("%2e", ".").replace("%2E", ".").split("/")):
        return "must not have . or .. in its path"
    taken = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)} & _RESPONSE_PARAMETERS
    if taken:
        return "has a parameter in its query that the response adds"
    return None
