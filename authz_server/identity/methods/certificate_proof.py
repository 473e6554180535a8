"""What somebody who has the key of a certificate has proved, and whose account it opens.

The certificate does not say which account is meant, for it holds four characters of the national id only: it is found
by the fingerprint under which the citizen or the operator has added it. A renewed card is another certificate, and is
added anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from sqlalchemy.orm import Session

from authz_server.catalogue.model import Text
from authz_server.core import clock
from authz_server.core.identifiers import CitizenId
from authz_server.identity import credentials
from authz_server.identity.certificates.errors import CertificateRefused, Reason, StatusUnknown
from authz_server.identity.certificates.trust import Presented
from authz_server.identity.certificates.verifier import Verifier
from authz_server.identity.credentials import Bound
from authz_server.identity.errors import MethodUnavailable, WrongCredentials
from authz_server.identity.methods.base import Accepted

ID: Final = "certificate"
ON_CARD: Final = ("hwk", "sc", "pin", "mfa")  # RFC 8176: a chip that does nothing without its PIN

Problem = Reason | Literal["used_text", "no_certificate", "unknown_certificate"]
# Whoever reads one of these holds the key of the certificate it is about, or has shown nothing at all.
TOLD: Final[Mapping[Problem, Text]] = {
    "malformed": Text(
        zh="讀不出這份簽章，那段文字也不能再用。需要的是附有簽章憑證的 CMS（PKCS #7）簽章，格式為 DER、PEM 或 base64。"
        "請取得新的文字再簽署。",
        en="That can't be read as a signature, and its text is used up. What is needed is a CMS (PKCS #7) signature "
        "with the certificate in it, as DER, PEM or base64. Get a new text and sign it.",
    ),
    "algorithm": Text(
        zh="這份簽章或憑證使用的演算法不夠安全：需要 SHA-256 以上，以及 2048 位元以上的 RSA 或 P-256、P-384。"
        "要再試一次，請取得新的文字。",
        en="The signature or the certificate uses an algorithm that is not accepted: SHA-256 or stronger is needed, "
        "with RSA of 2048 bits or more, or P-256 or P-384. To try again, get a new text.",
    ),
    "wrong_challenge": Text(
        zh="簽署的不是這裡給的文字。請取得新的文字，原封不動地簽署。",
        en="What was signed is not the text that was given here. Get a new text and sign it as it is.",
    ),
    "used_text": Text(
        zh="這段文字已超過 5 分鐘或已經用過。請取得新的文字再簽署。",
        en="That text is older than 5 minutes or was used already. Get a new text and sign it.",
    ),
    "wrong_signature": Text(
        zh="簽章與憑證不符。請取得新的文字再簽署一次。",
        en="The signature does not fit the certificate. Get a new text and sign once more.",
    ),
    "untrusted": Text(
        zh="這張憑證不是由這裡信任的憑證機構簽發的。",
        en="That certificate was not issued by an authority that is trusted here.",
    ),
    "expired": Text(
        zh="這張憑證已過期或尚未生效。換發新卡後，請先以其他方式登入，再加入新憑證。",
        en="That certificate has expired or is not valid yet. When you have a new card, sign in another way and add "
        "it.",
    ),
    "purpose": Text(
        zh="這張憑證不能用來登入。卡片上若有兩張憑證，請選用簽章用的那一張。",
        en="That certificate is not meant for signing in. If your card has two, choose the one for signatures.",
    ),
    "revoked": Text(
        zh="這張憑證已被廢止。若不是您申請的，請洽憑證機構。",
        en="That certificate has been revoked. If you did not ask for that, call the authority that issued it.",
    ),
    "no_certificate": Text(
        zh="瀏覽器沒有出示憑證。請插入卡片、關閉瀏覽器後再試，並在詢問時選擇您的憑證。",
        en="The browser showed no certificate. Insert your card, close the browser and try again, and choose your "
        "certificate when you are asked.",
    ),
    "unknown_certificate": Text(
        zh="沒有帳號登記這張憑證。請先以其他方式登入，再到帳號的登入方式加入它；換發的新卡也要重新加入。",
        en="No account has that certificate. Sign in another way first and add it to your ways to sign in; a renewed "
        "card has to be added anew.",
    ),
}
# Nothing was handed in, so nothing is judged and the text stays good.
NO_SIGNATURE: Final = Text(
    zh="請選擇簽章檔案，或貼上簽章。這段文字還可以用。",
    en="Choose the file with the signature, or paste it. The text is still good.",
)


class Described(NamedTuple):
    """A certificate as a credential: by what it is found, how its citizen knows it again, what else is kept."""

    external_id: str
    label: str
    data: Mapping[str, Any]


def described(certificate: x509.Certificate) -> Described:
    """How a certificate stands in the table of credentials."""
    number = f"{certificate.serial_number:X}"
    until = last_day(certificate).isoformat()
    issuers = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME) or list(certificate.issuer)
    issuer = str(issuers[-1].value) if issuers else "?"
    return Described(
        external_id=fingerprint(certificate),
        label=f"{issuer[:60]} · …{number[-6:]}",
        data={"issuer": certificate.issuer.rfc4514_string(), "serial_number": number, "not_valid_after": until},
    )


def last_day(certificate: x509.Certificate) -> date:
    """The last day on which a certificate is good, in Taiwan."""
    return clock.day_of(certificate.not_valid_after_utc)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, as `x5t#S256` (RFC 8705 section 3.1) but in hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def wrong(problem: Problem) -> WrongCredentials:
    """The refusal for a problem, with what the page says."""
    return WrongCredentials(problem, TOLD[problem])


def vouch(verify: Callable[[], object]) -> None:
    """Run a verification.  Raises: WrongCredentials, MethodUnavailable in place of what it raises."""
    try:
        verify()
    except CertificateRefused as refused:
        raise wrong(refused.reason) from None
    except StatusUnknown as unknown:
        raise MethodUnavailable(unknown.detail) from None


@dataclass(kw_only=True)
class CertificateAttempt:
    """A certificate whose key was proved, or why it was not. Lives for one request."""

    verifier: Verifier
    presented: Presented | None
    problem: Problem | None
    bound: Bound | None = field(repr=False)
    on_card: bool
    _proved_at: datetime | None = field(default=None, init=False, repr=False)

    @property
    def citizen_id(self) -> CitizenId | None:
        """Whose certificate it is."""
        return CitizenId(self.bound.citizen_id) if self.bound else None

    def prove(self, *, now: datetime) -> None:
        """Verify the certificate; authorities are asked last, and not about what opens no account anyway."""
        if self.problem is not None or self.presented is None:
            raise wrong(self.problem or "no_certificate")
        presented = self.presented
        if self.bound is None:
            vouch(lambda: self.verifier.chain(presented, now=now))
            raise wrong("unknown_certificate")
        vouch(lambda: self.verifier.check(presented, now=now))
        self._proved_at = now

    def accept(self, session: Session) -> Accepted:
        """Note the use of the credential, by one statement that finds it only while it is in force."""
        if self.bound is None or self._proved_at is None:
            raise WrongCredentials("not_proved")
        if credentials.use(session, self.bound.id, now=self._proved_at) is None:
            raise wrong("unknown_certificate")
        return Accepted(citizen_id=CitizenId(self.bound.citizen_id), amr=ON_CARD if self.on_card else None)


def attempt(
    session: Session, verifier: Verifier, present: Callable[[], Presented | Problem], *, on_card: bool
) -> CertificateAttempt:
    """What `present` shows, and the account that has it. Never raises."""
    try:
        shown = present()
    except CertificateRefused as refused:
        shown = refused.reason
    if not isinstance(shown, Presented):
        return CertificateAttempt(verifier=verifier, presented=None, problem=shown, bound=None, on_card=on_card)
    bound = credentials.find(session, method=ID, external_id=fingerprint(shown.certificate))
    return CertificateAttempt(verifier=verifier, presented=shown, problem=None, bound=bound, on_card=on_card)
