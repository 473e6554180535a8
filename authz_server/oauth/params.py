"""Reading a request strictly: form only, every parameter once, no control characters, empty means absent."""

from typing import Any
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749.requests import OAuth2Payload, OAuth2Request
from flask import Request

from authz_server.oauth.errors import InvalidRequest

FORM = "application/x-www-form-urlencoded"
MAX_PARAMETERS = 64
CONTROL = frozenset(map(chr, [*range(0x20), 0x7F, 0xFFFD]))
# Their values are JSON, in which a line break is white space; inside its strings JSON allows none.
JSON_PARAMETERS = frozenset({"authorization_details", "claims"})
JSON_CONTROL = CONTROL - set("\t\n\r")


class FormPayload(OAuth2Payload):  # type: ignore[misc]  # Authlib has no types
    """The parameters of one request, for Authlib and for us."""

    def __init__(self, data: dict[str, str]) -> None:
        self._data = data

    @property
    def data(self) -> dict[str, str]:
        return self._data

    def find(self, name: str) -> str | None:
        """The value, or None if it was not sent or empty (RFC 6749 section 3.1)."""
        return self._data.get(name)

    def get(self, name: str) -> str:
        """The value.  Raises: InvalidRequest if it was not sent. `name` is a constant of ours."""
        if (value := self._data.get(name)) is None:
            raise InvalidRequest(f"{name} is missing.")
        return value


class FormRequest(OAuth2Request):  # type: ignore[misc]  # Authlib has no types
    """A back-channel request as Authlib wants to see it, made from ours without its deprecated members."""

    payload: FormPayload

    def __init__(self, request: Request) -> None:
        # Not the parent's: it judges transport security by an environment variable; Settings did that at the start.
        self.method = request.method
        self.uri = request.path
        self.headers = request.headers
        self.payload = FormPayload(read_form(request))
        self.client: Any = None


def read_form(request: Request) -> dict[str, str]:
    """The form of a POST. The query string is never looked at: it ends up in logs.

    Raises: InvalidRequest: another media type, bytes that are not UTF-8, a parameter given twice, control characters.
    """
    if request.environ.get("CONTENT_TYPE") != FORM and request.mimetype != FORM:
        raise InvalidRequest(f"The content type must be {FORM}.")
    return parse(request.get_data(cache=False))


def parse(encoded: bytes) -> dict[str, str]:
    """Parameters of a form or query string.  Raises: InvalidRequest."""
    try:
        pairs = parse_qsl(
            encoded.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except ValueError:
        raise InvalidRequest("The parameters are not valid form data.") from None
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise InvalidRequest("A parameter was given twice.")
    if any(not _control(name).isdisjoint(value) or not CONTROL.isdisjoint(name) for name, value in pairs):
        raise InvalidRequest("A parameter has characters that are not allowed.")
    return {name: value for name, value in parameters.items() if value}


def _control(name: str) -> frozenset[str]:
    return JSON_CONTROL if name in JSON_PARAMETERS else CONTROL
