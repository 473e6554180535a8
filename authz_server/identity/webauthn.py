"""The two ceremonies of passkeys, without web and database: what the browser is asked, and whether its answer is right.

Everything in an answer is a stranger's until `verify_new` or `verify_use` has returned. Attestation is not asked for:
it would tell makes and models of citizens' devices, and to trust it, the certificates of all makers would have to be
kept. So nobody here knows whether a key is in hardware.  Source: WebAuthn Level 3, sections 7.1 and 7.2.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    options_to_json_dict,
    parse_authentication_credential_json,
    parse_authenticator_data,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from authz_server.core import settings

PATIENCE: Final = timedelta(minutes=5)  # section 15.1 recommends it where the user is verified
ALGORITHMS: Final = [  # in order of preference: EdDSA, ES256, RS256 (which is what TPMs have)
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
LONGEST_ID: Final = 1023  # octets; section 7.1, step 25
RSA_BITS: Final = range(2048, 4097)
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,1364}")  # of that many octets, in base64url


class NotVerified(Exception):
    """The answer of the browser is not what it must be; the text is the library's, and for logs of developers only."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """The relying party, as the settings name it; never as a request does."""

    rp_id: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class Passkey:
    """A passkey as it is kept. `backup_eligible`: it can be copied to other devices, for its whole life or never.

    Args: user_handle: the citizen's random name for authenticators; sign_count: 0 for devices that do not count.
    """

    credential_id: str  # base64url
    public_key: str = field(repr=False)  # COSE_Key, base64url
    user_handle: str = field(repr=False)  # base64url
    sign_count: int
    backup_eligible: bool
    backed_up: bool
    aaguid: str = ""  # what the authenticator says it is; nobody vouches for it
    transports: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a verified assertion says."""

    sign_count: int
    backed_up: bool


def site_of(issuer: str) -> Site | None:
    """The relying party of this server; None where browsers make no passkeys: at an address, and without TLS.

    Loopback by its name is the exception that lets developers try (section 13.4.9; Secure Contexts, section 3.1).
    """
    parts = urlsplit(issuer)
    host = parts.hostname or ""
    named = not (":" in host or host.replace(".", "").isdecimal())
    if not named or (parts.scheme != "https" and host != settings.LOOPBACK_NAME):
        return None
    return Site(rp_id=host, origin=settings.origin_of(issuer))


def creation_options(
    site: Site, *, rp_name: str, user_name: str, user_handle: str, challenge: bytes, known: Sequence[Passkey]
) -> dict[str, Any]:
    """What `navigator.credentials.create` is asked, as PublicKeyCredentialCreationOptionsJSON.

    Args: known: the citizen's passkeys, which an authenticator is not to make a second time.
    """
    options = generate_registration_options(
        rp_id=site.rp_id,
        rp_name=rp_name,
        user_id=base64url_to_bytes(user_handle),
        user_name=user_name,
        user_display_name=user_name,
        challenge=challenge,
        timeout=_milliseconds(PATIENCE),
        attestation=AttestationConveyancePreference.NONE,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[_descriptor(passkey) for passkey in known],
        supported_pub_key_algs=ALGORITHMS,
    )
    return options_to_json_dict(options)


def request_options(site: Site, *, challenge: bytes) -> dict[str, Any]:
    """What `navigator.credentials.get` is asked, as PublicKeyCredentialRequestOptionsJSON: any passkey of this site.

    No credential is named, so that nobody can find out who has one (section 14.6.2).
    """
    options = generate_authentication_options(
        rp_id=site.rp_id,
        challenge=challenge,
        timeout=_milliseconds(PATIENCE),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json_dict(options)


def unverified_id(answer: Mapping[str, Any]) -> str:
    """The credential that an answer claims to come from, "" if none or what can't be one."""
    claimed = answer.get("id")
    return claimed if isinstance(claimed, str) and _ID.fullmatch(claimed) else ""


def unverified_challenge(answer: Mapping[str, Any]) -> str:
    """The challenge that an answer claims to answer, as the text that it was made of; "" if none."""
    try:
        client_data = parse_client_data_json(base64url_to_bytes(answer["response"]["clientDataJSON"]))
        return client_data.challenge.decode("ascii")
    except Exception:  # as in `verify_new`
        return ""


def verify_new(answer: Mapping[str, Any], *, site: Site, challenge: bytes, user_handle: str) -> Passkey:
    """The passkey that `navigator.credentials.create` has made for our challenge.  Raises: NotVerified."""
    try:
        return _new(answer, site, challenge, user_handle)
    except Exception as error:
        # What libraries raise over octets of a stranger has no closed list.
        raise NotVerified(f"{type(error).__name__}: {error}") from error


def verify_use(answer: Mapping[str, Any], passkey: Passkey, *, site: Site, challenge: bytes) -> Use:
    """What `navigator.credentials.get` has signed for our challenge with this passkey.  Raises: NotVerified.

    The count is not compared here: the statement that keeps it does that, lest two see the same one.
    """
    try:
        return _use(answer, passkey, site, challenge)
    except Exception as error:
        raise NotVerified(f"{type(error).__name__}: {error}") from error


def _new(answer: Mapping[str, Any], site: Site, challenge: bytes, user_handle: str) -> Passkey:
    credential = parse_registration_credential_json(dict(answer))
    _demand(not _framed(credential.response.client_data_json), "made in a frame of another site")
    made = verify_registration_response(
        credential=credential,
        expected_challenge=challenge,
        expected_rp_id=site.rp_id,
        expected_origin=site.origin,
        require_user_verification=True,
        supported_pub_key_algs=ALGORITHMS,
    )
    _demand(made.credential_id == credential.raw_id, "another credential than the attested one")
    _demand(len(made.credential_id) <= LONGEST_ID, "the credential id is too long")
    _demand(_sound(made.credential_public_key), "a key of another kind than its algorithm has")
    return Passkey(
        credential_id=bytes_to_base64url(made.credential_id),
        public_key=bytes_to_base64url(made.credential_public_key),
        user_handle=user_handle,
        sign_count=made.sign_count,
        backup_eligible=made.credential_device_type == CredentialDeviceType.MULTI_DEVICE,
        backed_up=made.credential_backed_up,
        aaguid=made.aaguid,
        transports=[transport.value for transport in credential.response.transports or ()],
    )


def _use(answer: Mapping[str, Any], passkey: Passkey, site: Site, challenge: bytes) -> Use:
    credential = parse_authentication_credential_json(dict(answer))
    _demand(not _framed(credential.response.client_data_json), "used in a frame of another site")
    _demand(credential.id == passkey.credential_id, "another credential than the one that was looked up")
    # Section 7.2, step 6: nobody was named before, so the authenticator must say whose credential it is.
    user_handle = credential.response.user_handle
    _demand(user_handle is not None and bytes_to_base64url(user_handle) == passkey.user_handle, "of somebody else")
    used = verify_authentication_response(
        credential=credential,
        expected_challenge=challenge,
        expected_rp_id=site.rp_id,
        expected_origin=site.origin,
        credential_public_key=base64url_to_bytes(passkey.public_key),
        credential_current_sign_count=0,
        require_user_verification=True,
    )
    # Step 18: eligibility is of the key, and never changes.
    eligible = parse_authenticator_data(credential.response.authenticator_data).flags.be
    _demand(eligible == passkey.backup_eligible, "another eligibility for backup than before")
    return Use(sign_count=used.new_sign_count, backed_up=used.credential_backed_up)


def _framed(client_data_json: bytes) -> bool:
    # Our pages are never framed (`frame-ancestors 'none'`), so there is no such ceremony of ours (steps 10 and 14).
    return bool(parse_client_data_json(client_data_json).cross_origin)


def _sound(public_key: bytes) -> bool:
    """Whether a key can be loaded and is what section 5.8.5 and we demand of its algorithm."""
    decoded = decode_credential_public_key(public_key)
    key = decoded_public_key_to_cryptography(decoded)
    if decoded.alg == COSEAlgorithmIdentifier.ECDSA_SHA_256:
        return isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    if decoded.alg == COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256:
        return isinstance(key, RSAPublicKey) and key.key_size in RSA_BITS
    return True  # Ed25519: the library loads no other


def _descriptor(passkey: Passkey) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(
        id=base64url_to_bytes(passkey.credential_id),
        transports=[AuthenticatorTransport(name) for name in passkey.transports],
    )


def _milliseconds(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)


def _demand(fulfilled: bool, otherwise: str) -> None:
    if not fulfilled:
        raise NotVerified(otherwise)
