"""How Chinese is set: its punctuation has its space within, so no space stands beside it."""

import re
from typing import Final

WIDE_PUNCTUATION: Final = "。，、；：？！（）「」『』"
# Beside a dash or a dot, which parts two things, the space is the dash's.
_SPACED = re.compile(rf".{{0,20}}(?:[{WIDE_PUNCTUATION}] +[^\s–·]|[^\s–·] +[{WIDE_PUNCTUATION}]).{{0,20}}")


def spaced(text: str) -> list[str]:
    """The places of a text, as a browser shows it, where a space stands beside Chinese punctuation."""
    return _SPACED.findall(text)
