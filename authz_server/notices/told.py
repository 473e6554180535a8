"""What a message says, whatever it tells of: the texts are in `wording`."""

from dataclasses import dataclass

from authz_server.catalogue.model import Text


@dataclass(frozen=True)
class Told:
    """One kind of message. Places in both texts: {client}, {dataset}, {lock}."""

    title: Text
    more: Text
    security: bool = False


def told(zh: str, en: str, more_zh: str, more_en: str, *, security: bool = False) -> Told:
    """What a kind of message says."""
    return Told(Text(zh=zh, en=en), Text(zh=more_zh, en=more_en), security)


def safe(zh: str, en: str, more_zh: str, more_en: str) -> Told:
    """The same for one that nobody can switch off."""
    return told(zh, en, more_zh, more_en, security=True)
