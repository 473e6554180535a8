"""From BER to DER, as far as signed messages need it (X.690 sections 8 and 10).

Some card software writes lengths that are not told beforehand, and octet strings in pieces. What reads messages here
reads DER only, because there is one way to write it and so one way to understand it; this brings the outer frame into
that shape. What is signed is DER already (RFC 5652 section 5.4), and passes unchanged.
"""

from typing import Final

MAX_DEPTH: Final = 24  # certificates need a dozen
_CONSTRUCTED: Final = 0x20
_OCTET_STRING: Final = 0x04
_INDEFINITE: Final = 0x80
_END: Final = b"\x00\x00"


class NotBer(ValueError):
    """The octets are not one value in BER, or one that is nested too deeply."""


def to_der(octets: bytes) -> bytes:
    """Return the same value with definite, shortest lengths and octet strings in one piece.  Raises: NotBer."""
    value, end = _value(octets, 0, len(octets), MAX_DEPTH)
    if end != len(octets):
        raise NotBer("something follows")
    return value


def _value(octets: bytes, at: int, end: int, depth: int) -> tuple[bytes, int]:
    """The value that begins at `at`, and where it ends."""
    tag, at = _tag(octets, at, end)
    length, at = _length(octets, at, end)
    if not tag[0] & _CONSTRUCTED:
        if length is None:
            raise NotBer("a primitive of no length")
        return tag + _der_length(length) + octets[at : at + length], at + length
    if depth == 0:
        raise NotBer("nested too deeply")
    parts, at = _parts(octets, at, end if length is None else at + length, depth - 1, until_mark=length is None)
    if tag[0] == _OCTET_STRING | _CONSTRUCTED:
        return _joined(parts), at
    content = b"".join(parts)
    return tag + _der_length(len(content)) + content, at


def _parts(octets: bytes, at: int, end: int, depth: int, *, until_mark: bool) -> tuple[list[bytes], int]:
    parts: list[bytes] = []
    while at < end:
        if until_mark and octets[at : at + 2] == _END:
            return parts, at + 2
        part, at = _value(octets, at, end, depth)
        parts.append(part)
    if until_mark:
        raise NotBer("no end")
    return parts, at


def _joined(parts: list[bytes]) -> bytes:
    content = b""
    for part in parts:
        if part[0] != _OCTET_STRING:
            raise NotBer("a piece that is no octet string")
        length, at = _length(part, 1, len(part))
        content += part[at : at + (length or 0)]
    return bytes([_OCTET_STRING]) + _der_length(len(content)) + content


def _tag(octets: bytes, at: int, end: int) -> tuple[bytes, int]:
    if at >= end or octets[at] & 0x1F == 0x1F:  # more than 30 alternatives: there are none in what is read here
        raise NotBer("tag")
    return octets[at : at + 1], at + 1


def _length(octets: bytes, at: int, end: int) -> tuple[int | None, int]:
    """The length at `at` (None: up to a mark) and where what it is the length of begins."""
    if at >= end:
        raise NotBer("length")
    first, at = octets[at], at + 1
    if first == _INDEFINITE:
        return None, at
    length = first
    if first > _INDEFINITE:
        size = first - _INDEFINITE
        length, at = int.from_bytes(octets[at : at + size], "big"), at + size
    if at + length > end:
        raise NotBer("longer than what is there")
    return length, at


def _der_length(length: int) -> bytes:
    if length < _INDEFINITE:
        return bytes([length])
    size = (length.bit_length() + 7) // 8
    return bytes([_INDEFINITE | size]) + length.to_bytes(size, "big")
