"""Identifiers with a form of their own."""

import re
import uuid

import pytest

from authz_server.core import identifiers


def test_a_transaction_id_can_be_read_over_the_telephone() -> None:
    for _ in range(200):
        assert re.fullmatch(r"T([0-9A-HJKMNP-TV-Z]{4})(-[0-9A-HJKMNP-TV-Z]{4}){2}", identifiers.new_transaction_id())


def test_transaction_ids_differ() -> None:
    assert len({identifiers.new_transaction_id() for _ in range(1000)}) == 1000


def test_a_received_interaction_id_is_kept_if_it_is_a_uuid() -> None:
    received = "c770aef3-6784-41f7-8e0e-ff5f97bddb3a"
    assert identifiers.trace_id(received) == received
    assert identifiers.trace_id(received.upper()) == received.upper()


@pytest.mark.parametrize(
    "received",
    [None, "", "1", "c770aef3678441f78e0eff5f97bddb3a", "{c770aef3-6784-41f7-8e0e-ff5f97bddb3a}",
     "c770aef3-6784-41f7-8e0e-ff5f97bddb3a\n", "c770aef3-6784-41f7-8e0e-ff5f97bddb3g", "\u0663" * 36],
)  # fmt: skip
def test_anything_else_is_replaced_by_a_new_uuid(received: str | None) -> None:
    assert uuid.UUID(identifiers.trace_id(received)).version == 4


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_levels_and_acr_values_name_each_other(level: int) -> None:
    assert identifiers.level_of_acr(identifiers.acr_of_level(level)) == level


@pytest.mark.parametrize("level", [0, 5, -1])
def test_there_are_four_levels(level: int) -> None:
    with pytest.raises(ValueError, match="no identity level"):
        identifiers.acr_of_level(level)


@pytest.mark.parametrize("acr", ["", "1", "urn:mydata:acr:level-", "urn:mydata:acr:level-5", "urn:mydata:acr:level-01"])
def test_an_unknown_acr_names_no_level(acr: str) -> None:
    assert identifiers.level_of_acr(acr) is None
