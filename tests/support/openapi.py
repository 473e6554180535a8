"""What docs/openapi.yaml says."""

from functools import cache
from typing import Any

import yaml

from tests.support.tree import ROOT

METHODS = frozenset({"get", "post", "put", "delete"})


@cache
def document() -> dict[str, Any]:
    """All of it, read once; not to be changed."""
    described: dict[str, Any] = yaml.load((ROOT / "docs" / "openapi.yaml").read_bytes(), yaml.CSafeLoader)
    return described


def operations() -> list[tuple[str, str]]:
    """Method, in capitals, and path of each, in their order."""
    return [
        (method.upper(), path) for path, item in document()["paths"].items() for method in item if method in METHODS
    ]
