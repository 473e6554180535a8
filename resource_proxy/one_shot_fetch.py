"""The chain, in order: verify proof -> exchange -> ask agency -> gate -> stream -> report the outcome.

Everything before the exchange changes nothing anywhere: a refused or challenged attempt never uses a token up.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from authz_server.catalogue.model import Catalogue, Dataset
from authz_server.core import clock, dpop
from authz_server.core.circuit import Circuit, Permit
from authz_server.core.errors import DomainError
from authz_server.core.identifiers import TraceId
from resource_proxy.authz_client import AuthzClient, Lease, NotYet
from resource_proxy.connectors.base import AgencyError, AgencyRefused, Answer, Connector, NoRecord, Preparing, Question
from resource_proxy.delivery import Report, Stream, pieces

DATASET_TOKEN = re.compile(r"mdt_[A-Za-z0-9_-]{43}")


class TokenMissing(DomainError):
    """RFC 6750 section 3.1: without any credentials the challenge names no error."""

    code = "unauthorized"
    public = "A dataset token is needed, with a DPoP proof."


class TokenMalformed(DomainError):
    """Not one of our dataset tokens, or not presented as a DPoP-bound token is."""

    code = "invalid_token"
    public = "The access token is not usable."


class NonceNeeded(DomainError):
    """RFC 9449 section 9."""

    code = "use_dpop_nonce"
    public = "The DPoP proof needs the nonce of this answer."


class DatasetUnknown(DomainError):
    """No such dataset, or one that this proxy does not serve."""

    code = "dataset_unknown"
    public = "There is no such dataset here."


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A client's request, as it came: nothing of it is verified. Headers that came twice are joined by commas."""

    dataset_id: str
    method: str
    query: Mapping[str, str] = field(repr=False)
    authorization: str | None = field(repr=False)
    proof: str | None = field(repr=False)
    trace_id: TraceId


@dataclass(frozen=True, kw_only=True)
class AgencyDoor:
    """One agency as this proxy reaches it."""

    connector: Connector
    circuit: Circuit


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """What every fetch needs; made once, when the proxy starts."""

    url: str
    catalogue: Catalogue
    authz: AuthzClient
    agencies: Mapping[str, AgencyDoor]
    nonce_secret: bytes | None = field(repr=False, default=None)


@dataclass(frozen=True)
class Delivery:
    """A package on its way to the client. `body` may have a `close`, to be called whatever happens."""

    body: Iterable[bytes]
    size_bytes: int | None


def fetch(asked: Asked, proxy: Proxy) -> Delivery | Preparing | NoRecord:
    """Answer one request for a dataset.  Raises: DomainError; errors.TABLE has all kinds."""
    token = dataset_token(asked)
    dataset, door = find(asked.dataset_id, proxy)
    proof = verify_proof(asked, token, proxy)
    # Before the exchange: while the agency is out of order no token is used up by trying.
    permit = door.circuit.enter()
    try:
        resource = f"{proxy.url}/data/{dataset.id}"
        lease = proxy.authz.exchange(token, proof, resource=resource, trace_id=asked.trace_id)
        report = Report(proxy.authz, lease, asked.trace_id)
        answer = ask(door.connector, dataset, lease, report=report, trace_id=asked.trace_id)
        return answered(answer, report, permit)
    except NotYet as waiting:
        permit.settle(peer_works=None)
        return Preparing(waiting.retry_after_s)
    except AgencyError as error:
        permit.settle(peer_works=not error.outage)
        raise
    except BaseException:
        permit.settle(peer_works=None)
        raise


def dataset_token(asked: Asked) -> str:
    """The token as it was presented: in the Authorization header, with the scheme DPoP.

    Raises: TokenMissing, TokenMalformed.
    """
    if "access_token" in asked.query:
        raise TokenMalformed("in the query")  # RFC 9449 section 7.1 has the header alone; this would end up in logs
    if asked.authorization is None:
        raise TokenMissing("no Authorization header")
    scheme, _, token = asked.authorization.partition(" ")
    if scheme.lower() != "dpop":
        raise TokenMalformed("another scheme than DPoP")
    if not DATASET_TOKEN.fullmatch(token.strip()):
        raise TokenMalformed("not a dataset token")
    return token.strip()


def find(dataset_id: str, proxy: Proxy) -> tuple[Dataset, AgencyDoor]:
    """The dataset and the way to its agency.  Raises: DatasetUnknown."""
    dataset = proxy.catalogue.find_dataset(dataset_id)
    if dataset is None or dataset.agency_id not in proxy.agencies:
        raise DatasetUnknown("not in the catalogue, or its agency is not in the settings")
    return dataset, proxy.agencies[dataset.agency_id]


def verify_proof(asked: Asked, token: str, proxy: Proxy) -> dpop.Proof:
    """The proof, verified without asking anyone; that it is used once is for the exchange.

    Raises: BadProof, NonceNeeded.  Source: RFC 9449 sections 4.3, 7.1 and 9.
    """
    if asked.proof is None or "," in asked.proof:
        raise dpop.BadProof("not exactly one DPoP header")
    now = clock.now()
    url = f"{proxy.url}/data/{asked.dataset_id}"
    proof = dpop.verify_proof(asked.proof, method=asked.method, url=url, now=now, access_token=token)
    if proxy.nonce_secret is not None and not dpop.check_nonce(proxy.nonce_secret, proof.nonce, now):
        raise NonceNeeded("none, or too old")
    return proof


def ask(connector: Connector, dataset: Dataset, lease: Lease, *, report: Report, trace_id: TraceId) -> Answer:
    """The agency's answer; what goes wrong is reported, so that the token is free again.  Raises: AgencyError."""
    try:
        if (lease.dataset_id, lease.agency_id) != (dataset.id, dataset.agency_id):
            raise AgencyRefused("the lease is for another dataset than the catalogue says")
        question = Question(dataset=dataset, ticket=lease.ticket, transaction=lease.transaction, trace_id=trace_id)
        return connector.ask(question)
    except AgencyError as error:
        report.failed(error.code)
        raise
    except BaseException:
        report.failed(None)
        raise


def answered(answer: Answer, report: Report, permit: Permit) -> Delivery | Preparing | NoRecord:
    """Put the agency's answer on record and hand it on.

    Raises: AgencyError; OutcomeRefused, AuthorizationServerDown: nothing may be sent, and nothing was.
    """
    if isinstance(answer, Preparing | NoRecord):
        report.preparing(answer.retry_after_s) if isinstance(answer, Preparing) else report.no_record()
        permit.settle(peer_works=True)
        return answer
    try:
        rest = pieces(answer.chunks)
        first, is_all = next(rest)
        if not is_all:
            report.delivering()
            answer.begin_transfer()
            body = Stream(first, rest, package=answer, report=report, permit=permit)
            return Delivery(body, answer.size_bytes)
        report.delivered(len(first))
    except AgencyError as error:
        answer.close()
        report.failed(error.code)
        raise
    except BaseException:
        answer.close()
        raise
    answer.close()
    permit.settle(peer_works=True)
    return Delivery([first], len(first))
