"""A name that its bearer recognises, and nobody else reads: 王○明, 王○, W**."""

import unicodedata
from typing import Final

HIDDEN: Final = "○"


def masked(name: str) -> str:
    """Han names keep their ends, those of an alphabet with capitals the first letter of each word."""
    name = name.strip()
    if all(unicodedata.category(character) != "Lo" for character in name):
        return " ".join(f"{word[0]}**" for word in name.split())
    if len(name) < 3:
        return name[:1] + HIDDEN * (len(name) - 1)
    return name[0] + HIDDEN * (len(name) - 2) + name[-1]
