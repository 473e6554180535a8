"""Passwords: argon2id, a bounded number at once, and the same work for accounts that do not exist."""

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from authz_server.core.secrets import new_secret
from authz_server.identity.errors import PasswordHashingBusy

# OWASP Password Storage Cheat Sheet, argon2id: 19 MiB, 2 iterations, 1 degree of parallelism.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
MOST_AT_ONCE = 2  # per process: each costs 19 MiB and some 20 ms of a core, which token requests need as well
LONGEST_WAIT_S = 5.0
MIN_LENGTH = 8  # NIST SP 800-63B section 5.1.1.1; a second factor always goes with it
MAX_LENGTH = 256

_slots = threading.BoundedSemaphore(MOST_AT_ONCE)


def acceptable(password: str) -> bool:
    """Tell whether it may become somebody's password."""
    return MIN_LENGTH <= len(password) <= MAX_LENGTH


def hash_password(password: str) -> str:
    """Return the argon2id hash under which a password is stored.  Raises: PasswordHashingBusy."""
    with _slot():
        return HASHER.hash(prepared(password))


def check_password(password_hash: str | None, password: str) -> bool:
    """Tell whether the password is right, in the same time for an account that has none (None) or does not exist.

    Raises: PasswordHashingBusy.
    """
    with _slot():
        try:
            HASHER.verify(password_hash or _nobodys_hash(), prepared(password[: MAX_LENGTH + 1]))
        except (VerifyMismatchError, InvalidHashError):
            return False
    return password_hash is not None and len(password) <= MAX_LENGTH


def outdated(password_hash: str) -> bool:
    """Tell whether a hash was made with other parameters than today's, so that it should be made anew."""
    return HASHER.check_needs_rehash(password_hash)


def prepared(password: str) -> bytes:
    """What is hashed, the same whichever keyboard typed it: RFC 8265 section 4.2.2 (OpaqueString)."""
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
    return unicodedata.normalize("NFC", spaced).encode("utf-8", "surrogatepass")


@contextmanager
def _slot() -> Iterator[None]:
    if not _slots.acquire(timeout=LONGEST_WAIT_S):
        raise PasswordHashingBusy("all slots taken")
    try:
        yield
    finally:
        _slots.release()


@cache
def _nobodys_hash() -> str:
    return HASHER.hash(new_secret(""))
