"""Parameters: what is a value, its normal form, and how a citizen reads it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_server.catalogue import counties
from authz_server.catalogue.parameters import TYPES, ParameterKind, months_of, this_year
from authz_server.core import clock

NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)

GOOD: list[tuple[ParameterKind, str, str, str, str]] = [
    ("year", "113", "113", "民國 113 年", "2024 (ROC year 113)"),
    ("year", "90", "90", "民國 90 年", "2001 (ROC year 90)"),
    ("year", "115", "115", "民國 115 年", "2026 (ROC year 115)"),
    ("period", "2025-01/2025-12", "2025-01/2025-12", "2025 年 1 月至 2025 年 12 月",
     "January 2025 to December 2025"),
    ("period", "2026-03/2026-03", "2026-03/2026-03", "2026 年 3 月至 2026 年 3 月", "March 2026 to March 2026"),
    ("period", "2021-04/2026-03", "2021-04/2026-03", "2021 年 4 月至 2026 年 3 月", "April 2021 to March 2026"),
    ("county", "臺北市", "臺北市", "臺北市", "Taipei City"),
    ("county", "台東縣", "臺東縣", "臺東縣", "Taitung County"),
    ("town", "中正區", "中正區", "中正區", "中正區"),
    ("section", "臨沂段一小段", "臨沂段一小段", "臨沂段一小段", "臨沂段一小段"),
    ("section", "Linyi Sec 2-1", "Linyi Sec 2-1", "Linyi Sec 2-1", "Linyi Sec 2-1"),
]  # fmt: skip

BAD: list[tuple[ParameterKind, str]] = [
    *(("year", value) for value in ("", "9", "89", "116", "0113", "2024", "113 ", "113\n", "-13", "１１３", "+13")),
    *(("period", value) for value in (
        "", "2025", "2025-01", "2025-01/", "2025-13/2025-12", "2025-00/2025-12", "2025-12/2025-01", "2021-03/2026-03",
        "2026-03/2026-04", "2000-12/2001-01", "0000-01/0000-02", "2025-1/2025-2", "2025-01/2025-12\n",
        "２０２５-01/2025-12", "2025-01-01/2025-12-31",
    )),
    *(("county", value) for value in ("", "臺北", "Taipei City", "63000", "臺北市 ", "臺北縣", "臺\u200b北市")),
    *(("town", value) for value in (
        "", " ", "中正 區 ", "區" * 21, "中正區\n", "<b>", "a;b", "a/b", "中\u202e正", "中\u200b正區", "a  b", "\ud800",
        "'", "a,b",
    )),
    ("section", "段" * 41),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "normal", "zh", "en"), GOOD)
def test_a_value_is_normalised_and_shown(kind: ParameterKind, value: str, normal: str, zh: str, en: str) -> None:
    with clock.frozen(NOON):
        parsed = TYPES[kind].parse(value)
    assert parsed == normal
    assert TYPES[kind].display(parsed, "zh-TW") == zh
    assert TYPES[kind].display(parsed, "en") == en


@pytest.mark.parametrize(("kind", "value"), BAD)
def test_anything_else_is_refused_without_repeating_it(kind: ParameterKind, value: str) -> None:
    with clock.frozen(NOON), pytest.raises(ValueError) as caught:  # noqa: PT011 - the type is the contract
        TYPES[kind].parse(value)
    assert len(value) < 4 or value not in str(caught.value)


def test_the_year_is_that_of_taiwan() -> None:
    with clock.frozen(datetime(2025, 12, 31, 16, 0, tzinfo=UTC)):
        assert this_year() == 115
        assert TYPES["period"].parse("2026-01/2026-01")
    with clock.frozen(datetime(2025, 12, 31, 15, 59, tzinfo=UTC)):
        assert this_year() == 114


def test_a_period_counts_its_first_and_last_month() -> None:
    assert months_of("2025-01/2025-12") == 12
    assert months_of("2025-12/2026-01") == 2


def test_there_are_22_counties() -> None:
    assert len(counties.ENGLISH) == 22


@given(kind=st.sampled_from(sorted(TYPES)), value=st.text(max_size=50))
def test_a_normal_form_stays_and_can_be_shown(kind: ParameterKind, value: str) -> None:
    with clock.frozen(NOON):
        try:
            normal = TYPES[kind].parse(value)
        except ValueError:
            return
        assert TYPES[kind].parse(normal) == normal
    assert TYPES[kind].display(normal, "zh-TW")
    assert TYPES[kind].display(normal, "en")
