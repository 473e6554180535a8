"""Each row of the requirements has a test that names it: by the marker `row`, or in its own name (`test_dp04_...`)."""

import ast
import re

from tests.conformance.rows import OTHER_PROFILES, TESTED, names
from tests.support.tree import ROOT, python_files

IN_NAME = re.compile(r"(?<![a-z0-9])(dp|[djaptciusx])(\d\d)(?=_)")


def named_rows() -> set[str]:
    """The rows named by any test function of this repository."""
    found = set()
    for path in python_files("tests"):
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found |= {f"{group.upper()}-{number}" for group, number in IN_NAME.findall(node.name)}
                found |= {row for decorator in node.decorator_list for row in _marked(decorator)}
    return found


def _marked(decorator: ast.expr) -> set[str]:
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.row":
        return {ast.literal_eval(argument) for argument in decorator.args}
    return set()


def test_every_row_has_a_test_that_names_it() -> None:
    assert not names(TESTED) - named_rows()


def test_every_row_that_a_test_names_exists() -> None:
    assert not named_rows() - names(TESTED) - names(OTHER_PROFILES)
