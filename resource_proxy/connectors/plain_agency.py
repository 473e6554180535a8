"""Agencies without JOSE: the connector opens the ticket, asks in plain HTTP, and seals what comes, in their name.

Here, and only here, the proxy holds data in clear: small, for the length of one call, in memory. The package says so
(`via: connector`), and the citizen's record names the connector.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import orjson
import pybase64
from jsonschema import Draft202012Validator

from authz_server.catalogue.model import Dataset
from authz_server.core import jose, text_file
from authz_server.core.identifiers import TRACE_HEADER, AgencyId
from resource_proxy.connectors import http_answer
from resource_proxy.connectors.base import CHUNK_BYTES, AgencyGarbage, Answer, BadSignature, Question
from resource_proxy.connectors.package_file import build
from resource_proxy.connectors.tickets import Ticket, TicketReader
from resource_proxy.http_pool import Pool

# Such an agency has no large datasets; what it sends is held as a whole, several times over while it is packed.
LIMIT_BYTES = 1024 * 1024


class PlainAgency:
    """GET {url}/records/{dataset}; the answer is JSON, `{"data": {...}, "pdf": "<base64>"}`."""

    def __init__(
        self,
        pool: Pool,
        *,
        path: str,
        api_key: str,
        agency_id: AgencyId,
        keys: jose.KeySet,
        tickets: TicketReader,
    ) -> None:
        self._pool = pool
        self._path = path
        self._api_key = api_key
        self._agency_id = agency_id
        self._key = signing_key(keys)
        self._tickets = tickets

    def ask(self, question: Question) -> Answer:
        """Ask the agency for one dataset.  Raises: AgencyError."""
        ticket = self._tickets.open(question)
        query = urlencode({"fields": ",".join(ticket.fields), **ticket.parameters})
        response = http_answer.get(
            self._pool,
            f"{self._path}/records/{question.dataset.id}?{query}",
            {
                "Accept": "application/json",
                "X-Api-Key": self._api_key,
                "X-Citizen-Id": ticket.national_id,
                "X-Transaction-Id": question.transaction,
                TRACE_HEADER: question.trace_id,
                "Connection": "close",
            },
        )
        try:
            other_answer = http_answer.judge(response)
            if other_answer is not None:
                return other_answer
            body = http_answer.read_whole(response, LIMIT_BYTES)
        finally:
            # Nothing in an answer says whom it is about: what the agency says once more on this connection, late, would
            # pass for the answer about the next citizen, and be sealed as that.
            response.give_up()
        data, pdf = read_record(body, question.dataset, ticket)
        return self._package(data, pdf, question=question, ticket=ticket)

    def _package(self, data: bytes, pdf: bytes, *, question: Question, ticket: Ticket) -> "SealedPackage":
        manifest = {
            "iss": self._agency_id,
            "via": "connector",
            "aud": ticket.client_id,
            "txn": question.transaction,
            "dataset": question.dataset.id,
            "fields": list(ticket.fields),
            "parameters": dict(ticket.parameters),
        }
        package = build({"data.json": data, "document.pdf": pdf}, manifest, self._key)
        try:
            sealed = jose.encrypt(package, ticket.recipient_jwk, cty="application/zip").encode("ascii")
        except jose.BadKey as error:
            raise BadSignature(f"ticket: recipient_jwk: {error.detail}") from None
        return SealedPackage(sealed)


class SealedPackage:
    """A small package that is complete already."""

    def __init__(self, sealed: bytes) -> None:
        self._sealed = sealed
        self.size_bytes = len(sealed)

    @property
    def chunks(self) -> Iterator[bytes]:
        return (self._sealed[start : start + CHUNK_BYTES] for start in range(0, len(self._sealed), CHUNK_BYTES))

    def begin_transfer(self) -> None:
        """Nothing is waited for."""

    def close(self) -> None:
        """Nothing is held but memory."""


def read_record(body: bytes, dataset: Dataset, ticket: Ticket) -> tuple[bytes, bytes]:
    """The data (as JSON) and the PDF of an agency's answer.

    Raises: AgencyGarbage; also for more fields than the citizen agreed to, which must not pass just because they came.
    """
    try:
        document = orjson.loads(body)
        data = document["data"]
        pdf = pybase64.b64decode(document["pdf"], validate=True)
    except (ValueError, TypeError, KeyError) as error:
        raise AgencyGarbage(type(error).__name__) from None
    if not isinstance(data, dict) or not pdf.startswith(b"%PDF-"):
        raise AgencyGarbage("data is not an object, or pdf is not a PDF")
    if not data.keys() <= set(ticket.fields):
        raise AgencyGarbage("more fields than were granted")
    # The message of a validation error quotes the data.
    if not Draft202012Validator(dataset.schema).is_valid(data):
        raise AgencyGarbage("data does not fit the schema")
    return orjson.dumps(data), pdf


def signing_key(keys: jose.KeySet) -> jose.Key:
    """The first signing key with an algorithm of ours.  Raises: BadKey."""
    for key in keys:
        if key.use == "sig" and key.alg in jose.SIGNING:
            return key
    raise jose.BadKey(f"no signing key (use sig, alg one of {', '.join(jose.SIGNING)})")


def check_opening_key(keys: jose.KeySet) -> None:
    """Raise BadKey unless some key may open tickets: without one each fetch would fail, and nothing before."""
    if not any(key.fits(alg) for key in keys for alg in jose.KEY_MANAGEMENT):
        raise jose.BadKey("no key that tickets are encrypted to (use enc, EC or RSA)")


def read_api_key(path: Path | None) -> str:
    """The API key in a file, without line end.  Raises: OSError, ValueError."""
    text = text_file.read(path).strip() if path is not None else ""
    if not text or not text.isprintable() or not text.isascii():
        raise ValueError(f"{path}: the API key must be one line of ASCII that can be printed")
    return text
