"""Domain errors: what is public is constant and plain, what is particular stays inside."""

from typing import ClassVar

import pytest

from authz_server.core import dpop, jose, outbound_http
from authz_server.core.errors import DomainError


@pytest.mark.parametrize("text", ["", 'a "quoted" word', "back\\slash", "line\nend", "tab\t", "身分"])
def test_a_public_text_outside_the_characters_of_rfc_6749_does_not_even_import(text: str) -> None:
    with pytest.raises(TypeError):
        type("Bad", (DomainError,), {"public": text})


def test_the_detail_is_for_the_log_and_not_part_of_the_public_text() -> None:
    class Example(DomainError):
        code: ClassVar[str] = "invalid_grant"
        public: ClassVar[str] = "The code is not usable."

    error = Example("spent at noon")
    assert (error.code, error.public, error.detail) == ("invalid_grant", "The code is not usable.", "spent at noon")


@pytest.mark.parametrize(
    ("kind", "parent"),
    [
        (jose.KeyNotFound, jose.BadToken),
        (jose.BadToken, DomainError),
        (jose.BadKey, DomainError),
        (dpop.BadProof, DomainError),
        (outbound_http.FetchRefused, outbound_http.FetchError),
        (outbound_http.FetchFailed, outbound_http.FetchError),
    ],
)
def test_the_tree_is_as_the_docstring_draws_it(kind: type[DomainError], parent: type[DomainError]) -> None:
    assert issubclass(kind, parent)
