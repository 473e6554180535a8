"""Form of national identification numbers and unified residence certificate numbers."""

import re

# The number that stands for each letter, in the order of the numbers from 10 on (not quite the alphabet's).
_LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"
# Second character: 1, 2 citizens; 8, 9 residents.
_FORM = re.compile(rf"[{_LETTERS}][1289][0-9]{{8}}")
_WEIGHTS = (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)


def check(text: str) -> bool:
    """Tell whether this is a number that could have been given out: form and check digit."""
    if not _FORM.fullmatch(text):
        return False
    digits = f"{_LETTERS.index(text[0]) + 10}{text[1:]}"
    return sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=True)) % 10 == 0
