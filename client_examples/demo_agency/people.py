"""The people in the agencies' books. None of them exists: all follows from the digits of a national id."""

import hashlib
import random
from dataclasses import dataclass
from datetime import date, timedelta

LETTER_VALUES = dict(zip("ABCDEFGHJKLMNPQRSTUVXYWZIO", range(10, 36), strict=True))
STEMS = "甲乙丙丁戊己庚辛壬癸"
COUNTIES = ("臺北市", "新北市", "桃園市", "臺中市", "臺南市", "高雄市", "花蓮縣")
TOWNS = ("示範區", "樣本鄉", "測試鎮")
ROADS = ("合成路", "虛構街", "範例大道")
# The sandbox's citizens, so that pages and data call them by the same name.
KNOWN = {
    "A123456789": ("測試市民甲", date(1980, 2, 29)),
    "B223456782": ("測試市民乙", date(1992, 7, 15)),
    "C187654325": ("測試市民丙", date(1965, 11, 3)),
    "G123456794": ("測試市民庚", date(2019, 3, 3)),
}


@dataclass(frozen=True)
class Person:
    """What every office knows of a person."""

    national_id: str
    name: str
    birth_date: date
    sex: str
    county: str
    address: str
    married: bool

    @property
    def draws_pension(self) -> bool:
        """Whether bli.pension has a record: where the national id ends in an odd digit."""
        return int(self.national_id[-1]) % 2 == 1


def find_person(national_id: str) -> Person:
    """Return the person of that id, always the same one."""
    rng = seeded(national_id)
    name, birth_date = KNOWN.get(national_id, (invented_name(rng), date(1955, 1, 1) + timedelta(rng.randrange(18000))))
    county = rng.choice(COUNTIES)
    address = f"{county}{rng.choice(TOWNS)}{rng.choice(ROADS)}{rng.randrange(1, 300)}號{rng.randrange(1, 15)}樓"
    sex = "男" if national_id[1:2] in {"1", "8"} else "女"
    return Person(national_id, name, birth_date, sex, county, address, married=rng.random() < 0.6)


def seeded(*parts: str) -> random.Random:
    """A source of numbers that gives the same ones for the same texts, on every machine."""
    return random.Random(hashlib.sha256("\n".join(parts).encode()).digest())  # noqa: S311 - synthetic data


def invented_name(rng: random.Random) -> str:
    return f"測試{rng.choice('親友鄰眷')}{rng.choice(STEMS)}"


def invented_national_id(rng: random.Random) -> str:
    """An id that is valid by its checksum, and nobody's."""
    letter, digits = rng.choice("ABCDEFGH"), [rng.choice((1, 2)), *(rng.randrange(10) for _ in range(7))]
    return f"{letter}{''.join(map(str, digits))}{-weighted_sum(letter, digits) % 10}"


def is_national_id(text: str) -> bool:
    """Whether letter, digits and check digit fit together."""
    if len(text) != 10 or text[0] not in LETTER_VALUES or not (text[1:].isascii() and text[1:].isdecimal()):
        return False
    digits = [int(digit) for digit in text[1:]]
    return (weighted_sum(text[0], digits[:8]) + digits[8]) % 10 == 0


def weighted_sum(letter: str, digits: list[int]) -> int:
    tens, ones = divmod(LETTER_VALUES[letter], 10)
    return tens + 9 * ones + sum(weight * digit for weight, digit in zip(range(8, 0, -1), digits, strict=True))
