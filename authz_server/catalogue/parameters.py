"""The types of parameters: each is one entry of `TYPES`, with how it is read and how people see it.

Values travel as text, in requests as in tickets. `parse` gives the normal form, and only that is stored and compared.
Errors are sentences without the value: the value may be somebody's address.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from authz_server.catalogue import counties
from authz_server.core import clock

ParameterKind = Literal["year", "period", "county", "town", "section"]

YEAR = re.compile(r"[1-9][0-9]{1,2}")
ROC_OFFSET = 1911  # year 1 of the Republic of China is 1912
FIRST_YEAR = 90  # ROC, 2001: nothing older is on line
LONGEST_PERIOD_MONTHS = 60

_PERIOD = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])/([0-9]{4})-(0[1-9]|1[0-2])")
# Han (rare characters of place names included), ASCII letters and digits; joined by single spaces or hyphens.
_PLACE = re.compile(r"[㐀-䶿一-鿿\U00020000-\U0003134FA-Za-z0-9]+(?:[ -][㐀-䶿一-鿿\U00020000-\U0003134FA-Za-z0-9]+)*")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


@dataclass(frozen=True)
class ParameterType:
    """How values of one type are read and shown."""

    parse: Callable[[str], str]  # raises ValueError
    display: Callable[[str, str], str]  # (value in normal form, locale)


def this_year() -> int:
    """The current year of the Republic of China, in Taiwan."""
    return clock.day_of(clock.now()).year - ROC_OFFSET


def months_of(period: str) -> int:
    """How many months a period (in normal form) covers, first and last included."""
    first, last = _months(period)
    return last - first + 1


def _parse_year(value: str) -> str:
    if not YEAR.fullmatch(value):
        raise ValueError("a year is two or three digits of the ROC calendar, such as 113")
    if not FIRST_YEAR <= int(value) <= this_year():
        raise ValueError(f"a year lies between {FIRST_YEAR} and the current one")
    return value


def _display_year(value: str, locale: str) -> str:
    return f"民國 {value} 年" if _is_zh(locale) else f"{int(value) + ROC_OFFSET} (ROC year {value})"


def _parse_period(value: str) -> str:
    if not _PERIOD.fullmatch(value):
        raise ValueError("a period is YYYY-MM/YYYY-MM, first and last month")
    first, last = _months(value)
    today = clock.day_of(clock.now())
    if first < (FIRST_YEAR + ROC_OFFSET) * 12 or last > today.year * 12 + today.month - 1:
        raise ValueError(f"a period lies between {FIRST_YEAR + ROC_OFFSET}-01 and the current month")
    if not 1 <= last - first + 1 <= LONGEST_PERIOD_MONTHS:
        raise ValueError(f"a period runs forward and covers at most {LONGEST_PERIOD_MONTHS} months")
    return value


def _display_period(value: str, locale: str) -> str:
    # As all days on the pages are written, and as browsers let a month be chosen; static/package.js does the same.
    first, last = (divmod(month, 12) for month in _months(value))
    if _is_zh(locale):
        return "至 ".join(f"{year} 年 {month + 1} 月" for year, month in (first, last))
    return " to ".join(f"{MONTHS[month]} {year}" for year, month in (first, last))


def _months(period: str) -> tuple[int, int]:
    first, last = (int(month[:4]) * 12 + int(month[5:7]) - 1 for month in period.split("/"))
    return first, last


def _parse_county(value: str) -> str:
    # Everybody writes 台 for 臺; the official names don't.
    name = value.replace("台", "臺")
    if name not in counties.ENGLISH:
        raise ValueError("a county is the official name of one of the 22 counties and cities, such as 臺北市")
    return name


def _display_county(value: str, locale: str) -> str:
    return value if _is_zh(locale) else counties.ENGLISH[value]


def _place(longest: int) -> ParameterType:
    def parse(value: str) -> str:
        name = unicodedata.normalize("NFC", value)
        if len(name) > longest or not _PLACE.fullmatch(name):
            raise ValueError(f"a place is at most {longest} Han characters, letters and digits")
        return name

    return ParameterType(parse, lambda value, _locale: value)


def _is_zh(locale: str) -> bool:
    return locale.lower().startswith("zh")


TYPES: Mapping[ParameterKind, ParameterType] = {
    "year": ParameterType(_parse_year, _display_year),
    "period": ParameterType(_parse_period, _display_period),
    "county": ParameterType(_parse_county, _display_county),
    "town": _place(20),
    "section": _place(40),
}
