"""Nobody in a chain is revoked: asked of the authorities themselves, each time, and refused if they can't be asked."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from authz_server.core import outbound_http
from authz_server.core.circuit import Circuit, CircuitOpen, PeerBusy
from authz_server.core.logging import event
from authz_server.core.outbound_http import TIMEOUT_S, FetchError, FetchFailed
from authz_server.identity.certificates import crl, ocsp
from authz_server.identity.certificates.errors import UNREADABLE, CertificateRefused, StatusUnknown
from authz_server.identity.certificates.trust import Chain

Way = Literal["ocsp", "crl"]

TOTAL_S = 10.0  # for all questions about one chain together: somebody waits, and holds a turn
MAX_CRL_BYTES = 16 * 1024 * 1024  # a country's
LONGEST_KEPT = timedelta(hours=1)  # whatever a list says about the next one
_MAX_KEPT = 16
_AT_ONCE = 4
_FAILURES = 3
_COOL_DOWN_S = 15


@dataclass(frozen=True)
class _Pair:
    """A certificate and who issued it, verified; the moment, and until when an answer is worth waiting for."""

    certificate: x509.Certificate
    issuer: x509.Certificate
    now: datetime
    deadline: float


class _Kept(NamedTuple):
    """A list; `since`: when it was fetched, for a clock that was fast then must not keep it for longer."""

    found: x509.CertificateRevocationList
    since: datetime
    until: datetime


@dataclass
class Checker:
    """Asks about certificates. One per process: it keeps lists while they are in force, an hour at most, because they
    are large; they are signed, so that no other process need know of them.

    Args: ways: in this order, what the certificate names and what answers first, decides. allowed_hosts: as of
        `core.outbound_http.fetch`. nonce_required: refuse answers of OCSP that were made beforehand.
    """

    ways: tuple[Way, ...] = ("ocsp", "crl")
    allowed_hosts: frozenset[str] = frozenset()
    nonce_required: bool = False
    _lists: dict[str, _Kept] = field(default_factory=dict, repr=False)
    _circuits: dict[str, Circuit] = field(default_factory=dict, repr=False)

    def check(self, chain: Chain, *, now: datetime) -> None:
        """Return if every certificate below the anchor is known not to be revoked now.

        Args: chain: verified, the citizen's first, the anchor last.
        Raises: CertificateRefused if one is revoked; StatusUnknown if that can't be found out.
        """
        deadline = time.monotonic() + TOTAL_S
        for certificate, issuer in pairwise(chain):
            if self._is_revoked(_Pair(certificate, issuer, now, deadline), self.ways):
                raise CertificateRefused("revoked")

    def _is_revoked(self, pair: _Pair, ways: Sequence[Way]) -> bool:
        ask = {"ocsp": self._by_ocsp, "crl": self._by_crl}
        problem = StatusUnknown("the certificate names nobody to ask")
        for way in ways:
            for url in self._urls(way, pair.certificate):
                try:
                    return ask[way](url, pair)
                except StatusUnknown as unknown:
                    event("certificate.status_unknown", kind=way, detail=unknown.detail)
                    problem = unknown
        raise problem

    def _urls(self, way: Way, certificate: x509.Certificate) -> list[str]:
        try:
            return (ocsp.urls if way == "ocsp" else crl.urls)(certificate)
        except UNREADABLE:
            raise StatusUnknown("the certificate can't be read") from None

    def _by_ocsp(self, url: str, pair: _Pair) -> bool:
        question = ocsp.question(pair.certificate, pair.issuer)

        def check_responder(responder: x509.Certificate) -> None:
            if self._is_revoked(_Pair(responder, pair.issuer, pair.now, pair.deadline), ["crl"]):
                raise StatusUnknown("ocsp: responder revoked")

        return ocsp.check(
            self._ask(url, pair, lambda timeout_s: self._post(url, question.public_bytes(Encoding.DER), timeout_s)),
            question,
            pair.issuer,
            now=pair.now,
            nonce_required=self.nonce_required,
            check_responder=check_responder,
        )

    def _by_crl(self, url: str, pair: _Pair) -> bool:
        kept = self._lists.get(url)
        if kept is not None and kept.since - crl.SKEW <= pair.now < kept.until:
            return crl.check(kept.found, pair.certificate, pair.issuer, url=url, now=pair.now)
        found = crl.parse(self._ask(url, pair, lambda timeout_s: self._get(url, timeout_s)))
        revoked = crl.check(found, pair.certificate, pair.issuer, url=url, now=pair.now)
        # Only now, for what is not the issuer's must not displace what is.
        if len(self._lists) >= _MAX_KEPT:
            self._lists.clear()
        until = min(found.next_update_utc or pair.now, pair.now + LONGEST_KEPT)
        self._lists[url] = _Kept(found, pair.now, until)
        return revoked

    def _get(self, url: str, timeout_s: float) -> bytes:
        return outbound_http.fetch(
            url,
            allowed_hosts=self.allowed_hosts,
            accept="application/pkix-crl",
            signed=True,
            max_bytes=MAX_CRL_BYTES,
            timeout_s=timeout_s,
        )

    def _post(self, url: str, question: bytes, timeout_s: float) -> bytes:
        answer = outbound_http.post(
            url,
            question,
            content_type="application/ocsp-request",
            headers={"Accept": "application/ocsp-response"},
            allowed_hosts=self.allowed_hosts,
            signed=True,
            timeout_s=timeout_s,
        )
        if answer.status != 200:
            raise FetchFailed(f"status {answer.status}")
        return answer.body

    def _ask(self, url: str, pair: _Pair, send: Callable[[float], bytes]) -> bytes:
        """What the host answers; not asked at all while it is known to be silent, or when the time is over."""
        left = pair.deadline - time.monotonic()
        if left <= 0:
            raise StatusUnknown("no time left")
        if len(self._circuits) >= _MAX_KEPT:
            self._circuits.clear()
        circuit = self._circuits.setdefault(
            url, Circuit(max_concurrent=_AT_ONCE, failures=_FAILURES, cool_down_s=_COOL_DOWN_S)
        )
        try:
            permit = circuit.enter()
        except (CircuitOpen, PeerBusy) as error:
            raise StatusUnknown(error.detail) from None
        try:
            answer = send(min(TIMEOUT_S, left))
        except FetchError as error:
            permit.settle(peer_works=False)
            raise StatusUnknown(error.detail) from None
        except BaseException:
            permit.settle(peer_works=None)
            raise
        permit.settle(peer_works=True)
        return answer
