"""How far a purpose may go with a parameter: an entry in `READERS` per type of parameter.

tax_year = { from = "110", to = "113" }      these years
tax_year = { last = 3 }                      this year and the 3 before it
period   = { months = 12 }                   at most 12 months at once
county   = { allow = ["臺北市", "新北市"] }    these places; towns and sections likewise
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from authz_server.catalogue.document import Table
from authz_server.catalogue.model import Parameter
from authz_server.catalogue.parameters import LONGEST_PERIOD_MONTHS, YEAR, ParameterKind, months_of, this_year


class Range(Protocol):
    """A limit on the values of one parameter."""

    def allows(self, value: str) -> bool:
        """Whether a value, in its normal form, lies within."""
        ...


@dataclass(frozen=True)
class Years:
    first: int
    last: int

    def allows(self, value: str) -> bool:
        return self.first <= int(value) <= self.last


@dataclass(frozen=True)
class LastYears:
    count: int

    def allows(self, value: str) -> bool:
        return int(value) >= this_year() - self.count


@dataclass(frozen=True)
class Months:
    count: int

    def allows(self, value: str) -> bool:
        return months_of(value) <= self.count


@dataclass(frozen=True)
class Places:
    names: frozenset[str]

    def allows(self, value: str) -> bool:
        return value in self.names


def read(table: Table, parameter: Parameter) -> Range:
    """The limit that a table of a registration sets; problems are noted in the table."""
    limit = READERS[parameter.type](table, parameter)
    table.done()
    return limit


def _years(table: Table, _parameter: Parameter) -> Range:
    if "last" in table:
        return LastYears(table.whole("last", 1, 20))
    # Not the parameter's own `parse`: a purpose may well be registered up to a year that is still to come.
    first, last = (
        table.text(key, pattern=YEAR, shape="a year of the ROC calendar, such as 113") for key in ("from", "to")
    )
    if not (YEAR.fullmatch(first) and YEAR.fullmatch(last)):
        return Years(0, 0)
    if int(first) > int(last):
        table.note("ends before it begins", "to")
    return Years(int(first), int(last))


def _months(table: Table, _parameter: Parameter) -> Range:
    return Months(table.whole("months", 1, LONGEST_PERIOD_MONTHS))


def _places(table: Table, parameter: Parameter) -> Range:
    names = table.texts("allow", most=100)
    if not names:
        table.note("names no place", "allow")
    places = []
    for index, name in enumerate(names):
        try:
            places.append(parameter.parse(name))
        except ValueError as error:
            table.note(str(error), "allow", index)
    return Places(frozenset(places))


READERS: Mapping[ParameterKind, Callable[[Table, Parameter], Range]] = {
    "year": _years,
    "period": _months,
    "county": _places,
    "town": _places,
    "section": _places,
}
