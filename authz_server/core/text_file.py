"""Files that people write, with whatever editor they have."""

import codecs
from pathlib import Path


class NotText(ValueError):
    """The file is not UTF-8; the text says what it is, to be put after its name."""


def read(path: Path) -> str:
    """The text of a UTF-8 file, without the byte order mark that some editors put before it (RFC 8259 section 8.1).

    Raises: NotText, OSError.
    """
    content = path.read_bytes()  # once: it may be a pipe
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotText(_other_than_utf8(content)) from None
    if "\0" in text:
        raise NotText(_other_than_utf8(content))
    return text


def _other_than_utf8(content: bytes) -> str:
    """What editors on Windows call Unicode has a zero beside each letter of ASCII, and mostly a mark before all."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "is UTF-16; save it as UTF-8"
    if b"\0" not in content:
        return "is not UTF-8"
    beginning = content[:16]
    return "is UTF-16; save it as UTF-8" if any(beginning[::2]) != any(beginning[1::2]) else "is no text"
