"""What is the same for many requests and made once: notices, and pages but for the few words that differ."""

import re
from collections.abc import Callable, Hashable, Mapping
from typing import Final, Generic, TypeVar

from markupsafe import Markup, escape

Made = TypeVar("Made")
MOST: Final = 500
# No text of ours and no value of a request has this character, and escaping leaves it alone.
_SLOT: Final = re.compile("\0([a-z_]+)\0")


class Remembered(Generic[Made]):
    """The last results by their keys, forgotten all at once when they are many: each is cheap to make again."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Made] = {}

    def get(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What was made for this key, or is made now. Two threads may both make it, and then it is the same."""
        made = self._made.get(key)
        if made is None:
            made = make()
            if len(self._made) >= MOST:
                self._made.clear()
            self._made[key] = made
        return made


def slots(*names: str) -> dict[str, str]:
    """What a template is given instead of words, so that they can be filled in later."""
    return {name: f"\0{name}\0" for name in names}


class Slotted:
    """A page that was rendered with `slots` in place of some words."""

    def __init__(self, html: str) -> None:
        self._parts = _SLOT.split(html)  # text, name of a slot, text, ...

    def fill(self, words: Mapping[str, str]) -> Markup:
        """The page with these words, escaped here: in the template, a slot stands wherever its word may."""
        parts = self._parts[:]
        parts[1::2] = [escape(words[name]) for name in parts[1::2]]
        return Markup("".join(parts))  # noqa: S704 - ours, rendered and escaped
