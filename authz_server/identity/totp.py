"""Time-based one-time codes (RFC 6238), and their secrets at rest."""

import base64
import hmac
import re
import secrets
from datetime import datetime

import pyotp
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from authz_server.core.secrets import derive

STEP_S = 30
WINDOW = 1  # steps before and after the present one: clocks differ, people type slowly (RFC 6238 section 5.2)
_CODE = re.compile(r"[0-9]{6}")
_NONCE_BYTES = 12


def new_secret() -> str:
    """Return 160 random bits as base32, the form in which authenticator apps take them (RFC 4226 section 4, R6)."""
    return pyotp.random_base32(32)


def step_of(now: datetime) -> int:
    """The number of the time step that `now` lies in."""
    return int(now.timestamp()) // STEP_S


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """Return the time step whose code this is, the newest within the window; None if it is none of them."""
    if not _CODE.fullmatch(code):
        return None
    totp = pyotp.TOTP(secret)
    present = step_of(now)
    # All are computed and compared, so that the time taken does not tell which one it was.
    steps = range(max(0, present - WINDOW), present + WINDOW + 1)
    matches = [step for step in steps if hmac.compare_digest(totp.generate_otp(step), code)]
    return max(matches, default=None)


def otpauth_uri(secret: str, username: str, issuer: str) -> str:
    """Return what an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=issuer)


def encrypt(secret: str, server_secret: bytes, citizen_id: int) -> bytes:
    """Return the secret as it is stored: nonce, then AES-256-GCM bound to the citizen: rows can't be swapped."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(server_secret).encrypt(nonce, secret.encode(), _owner(citizen_id))


def decrypt(stored: bytes, server_secret: bytes, citizen_id: int) -> str:
    """Return the secret again.  Raises: ValueError if the row was altered, swapped, or made under another key."""
    nonce, ciphertext = stored[:_NONCE_BYTES], stored[_NONCE_BYTES:]
    try:
        return _cipher(server_secret).decrypt(nonce, ciphertext, _owner(citizen_id)).decode()
    except (InvalidTag, ValueError):  # ValueError: not even a nonce
        raise ValueError("a stored one-time code secret does not open with this server's key") from None


def _cipher(server_secret: bytes) -> AESGCM:
    return AESGCM(base64.urlsafe_b64decode(derive(server_secret, "totp-encryption") + "="))


def _owner(citizen_id: int) -> bytes:
    return f"citizen:{citizen_id}".encode()
