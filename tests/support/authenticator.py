"""A passkey authenticator and its browser, in software: what the platform is told is wholly in the test's hands.

    device = Authenticator(origin="https://mydata.example")
    created = device.create(options)            # as `PublicKeyCredential.toJSON()` gives it
    answer = device.get(options, count=7, verified=False)

Built on `cryptography` and on an encoder of CBOR of its own, so that it shares no line with the library that the server
verifies with.  Source: WebAuthn Level 3, sections 6.1 (authenticator data), 6.5.4 (attestation object), 5.8.1 (client
data); RFC 9053 (algorithms), RFC 8949 (CBOR).
"""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ES256, EDDSA, RS256 = -7, -8, -257
PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40
AAGUID = bytes(range(16))

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
Json = dict[str, Any]


@dataclass
class Passkey:
    """A key on the authenticator; `count` is how often it says it has signed."""

    id: bytes
    user_handle: bytes
    algorithm: int
    key: PrivateKey = field(repr=False)
    count: int = 0

    def sign(self, message: bytes) -> bytes:
        """Sign as the algorithm of the key does."""
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return self.key.sign(message, ec.ECDSA(SHA256()))
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(message, padding.PKCS1v15(), SHA256())
        return self.key.sign(message)


@dataclass
class Authenticator:
    """A device and the browser before it. What it says of itself can be changed as a whole, or in one answer.

    Args:
        origin: where the browser thinks it is; verified, eligible, backed_up: the flags UV, BE, BS.
        counts: whether it counts signatures; one that does not always says 0.
    """

    origin: str
    rp_id: str | None = None  # None: the one it is asked for
    algorithm: int = ES256
    verified: bool = True
    present: bool = True
    eligible: bool = False
    backed_up: bool = False
    counts: bool = True
    passkeys: list[Passkey] = field(default_factory=list)

    def create(self, options: Mapping[str, Any], **changed: Any) -> Json:
        """Answer `navigator.credentials.create`. `changed`: see `_told`, and `statement`, the attestation's."""
        passkey = Passkey(
            id=changed.get("credential_id", secrets.token_bytes(16)),
            user_handle=decoded(options["user"]["id"]),
            algorithm=self.algorithm,
            key=new_key(self.algorithm),
        )
        self.passkeys.append(passkey)
        public_key = changed.get("public_key", cose(passkey))
        attested = AAGUID + len(passkey.id).to_bytes(2, "big") + passkey.id + public_key
        client_data, data = self._told(options, "webauthn.create", passkey, options["rp"]["id"], attested, changed)
        statement = changed.get("statement", {"fmt": "none", "attStmt": {}})
        attestation = {"fmt": statement["fmt"], "attStmt": statement["attStmt"], "authData": data}
        response = {"attestationObject": encoded(cbor(attestation)), "transports": ["internal"]}
        return _answer(passkey, client_data, response)

    def get(self, options: Mapping[str, Any], passkey: Passkey | None = None, **changed: Any) -> Json:
        """Answer `navigator.credentials.get` with a passkey, by default the only one. `changed`: see `_told`."""
        passkey = passkey or self.passkeys[-1]
        client_data, data = self._told(options, "webauthn.get", passkey, options["rpId"], b"", changed)
        response = {
            "authenticatorData": encoded(data),
            "signature": encoded(changed.get("signature", passkey.sign(data + sha256(client_data).digest()))),
            "userHandle": encoded(changed.get("user_handle", passkey.user_handle)),
        }
        return _answer(passkey, client_data, response)

    def _told(
        self,
        options: Mapping[str, Any],
        kind: str,
        passkey: Passkey,
        rp_id: str,
        attested: bytes,
        changed: Mapping[str, Any],
    ) -> tuple[bytes, bytes]:
        """Client data and authenticator data; `changed` replaces single things: rp_id, verified, count, client..."""
        told = {name: changed.get(name, getattr(self, name)) for name in ("present", "verified")}
        told |= {name: changed.get(name, getattr(self, name)) for name in ("eligible", "backed_up")}
        bits = {"present": PRESENT, "verified": VERIFIED, "eligible": ELIGIBLE, "backed_up": BACKED_UP}
        flags = sum(bits[name] for name, said in told.items() if said) | (ATTESTED if attested else 0)
        passkey.count += self.counts
        count = changed.get("count", passkey.count if self.counts else 0)
        asked_for = changed.get("rp_id", self.rp_id or rp_id)
        data = sha256(asked_for.encode()).digest() + bytes([flags]) + count.to_bytes(4, "big") + attested
        client = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(client | changed.get("client", {})).encode(), data + changed.get("appended", b"")


def _answer(passkey: Passkey, client_data: bytes, response: Json) -> Json:
    name = encoded(passkey.id)
    return {
        "id": name,
        "rawId": name,
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "clientExtensionResults": {},
        "response": {"clientDataJSON": encoded(client_data), **response},
    }


def new_key(algorithm: int) -> PrivateKey:
    """A key for an algorithm of COSE."""
    if algorithm == ES256:
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == RS256:
        return rsa.generate_private_key(65537, 2048)
    return ed25519.Ed25519PrivateKey.generate()


def cose(passkey: Passkey) -> bytes:
    """The public key as WebAuthn wants it (section 6.5.1.1; RFC 9053 section 7, RFC 8230 section 4)."""
    public = passkey.key.public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        numbers = public.public_numbers()
        point = {-2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        return cbor({1: 2, 3: passkey.algorithm, -1: 1, **point})
    if isinstance(public, rsa.RSAPublicKey):
        modulus = public.public_numbers().n.to_bytes(256, "big")
        return cbor({1: 3, 3: passkey.algorithm, -1: modulus, -2: b"\x01\x00\x01"})
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return cbor({1: 1, 3: passkey.algorithm, -1: 6, -2: raw})


def cbor(value: Any) -> bytes:
    """RFC 8949 section 3, of what stands in an attestation object: numbers, octets, texts, lists and maps."""
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(map(cbor, value))
    return _head(5, len(value)) + b"".join(cbor(name) + cbor(item) for name, item in value.items())


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    size = max(0, (number.bit_length() - 1).bit_length() - 3)  # 0, 1, 2, 3: one, two, four, eight octets
    return bytes([major << 5 | 24 + size]) + number.to_bytes(1 << size, "big")


def encoded(octets: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """The octets of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
