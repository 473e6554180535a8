"""How a barcode reads, to scanners and to people, and how its one-time code is made. None of it is stored.

A barcode is 128 bits that derive from the citizen's session, so that its page can show it again and again, and nobody
else: not even this server, without the session's cookie. As decimal digits it is as short as a barcode can be (Code 128
has two of them in a symbol), and a scanner, which types, is understood whatever keyboard and input method is chosen.
The form for typing is another 60 bits, in an alphabet without lookalikes, with a character that finds typing errors.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from authz_server.core.identifiers import CROCKFORD, crockford
from authz_server.core.secrets import derive, derive_digits, derive_number, digest

PREFIX: Final = "mdv_"
DIGITS: Final = 40  # 2^128 has 39; two go into a symbol
SHORT: Final = 12
CODE_DIGITS: Final = 6
_BARCODE = re.compile(rf"[0-9]{{{DIGITS}}}")
_SHORT_FORM = re.compile(rf"[{CROCKFORD}]{{{SHORT + 1}}}")
# Crockford's reading of what is mistaken for something else.
_LOOKALIKES = str.maketrans({"I": "1", "L": "1", "O": "0", "-": None, " ": None, "\u3000": None})


@dataclass(frozen=True)
class Face:
    """What a barcode looks like: `digits` for scanners, `short` for people."""

    digits: str = field(repr=False)
    short: str = field(repr=False)

    @property
    def grouped(self) -> str:
        """The form for typing, in groups that can be read out."""
        return grouped(self.short)


def grouped(short: str) -> str:
    """What is to be typed, in groups that can be read out."""
    return "-".join((short[:4], short[4:8], short[8:]))


def typeable(key: bytes, *labels: str) -> str:
    """60 bits that only a holder of `key` can compute for these labels, with a character that finds typing errors."""
    short = crockford(derive_number(key, 5 * SHORT, *labels), SHORT)
    return short + check_character(short)


def face(session_secret: str, transaction_id: str, shown_at: datetime) -> Face:
    """The barcode that this session was shown at that moment. Nobody without the session's secret can name it."""
    key, labels = session_secret.encode("utf-8", "surrogatepass"), (transaction_id, shown_at.isoformat())
    number = derive_number(key, 128, "barcode", *labels)
    return Face(f"{number:0{DIGITS}}", typeable(key, "barcode-to-type", *labels))


def barcode_digest(digits: str) -> bytes:
    """Under which a barcode is known. Its kind goes in, so that no other secret can have the same."""
    return digest(PREFIX + digits)


def short_digest(server_secret: bytes, short: str, *, kind: str = "barcode-to-type") -> bytes:
    """The same for the form for typing, which is too short to be left to guessing by whoever has the table alone."""
    return digest(derive(server_secret, kind, short))


def find_digits(presented: str) -> str | None:
    """The digits, if somebody presented a barcode."""
    digits = presented.strip().removeprefix(PREFIX)
    return digits if _BARCODE.fullmatch(digits) else None


def find_short(presented: str) -> str | None:
    """The form for typing, if somebody typed one without an error, however they wrote it."""
    short = presented.upper().translate(_LOOKALIKES)
    return short if _SHORT_FORM.fullmatch(short) and check_character(short[:-1]) == short[-1] else None


def check_character(text: str) -> str:
    """Luhn's check in base 32: it finds every wrong character, and all but one of the transpositions of neighbours."""
    total = 0
    for place, character in enumerate(reversed(text)):
        value = CROCKFORD.index(character) * (1 if place % 2 else 2)
        total += value // 32 + value % 32
    return CROCKFORD[-total % 32]


def one_time_code(server_secret: bytes, digest_of_barcode: bytes, announced_at: datetime) -> str:
    """What the citizen tells the clerk. Limit the tries!"""
    labels = ("visit-code", digest_of_barcode.hex(), announced_at.isoformat())
    return derive_digits(server_secret, CODE_DIGITS, *labels)
