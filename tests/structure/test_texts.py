"""Nothing unfinished, nothing secret and nothing of one machine is committed."""

import ast
import re

import pytest

from tests.support.tree import ROOT, our_texts, python_files

PRODUCT = ("authz_server", "resource_proxy", "client_examples", "migrations")
# Put together here, so that this file does not hold what it looks for.
UNFINISHED = re.compile("|".join(["TO" + "DO", "FIX" + "ME", r"\bX" + r"XX\b", "NotImplemented" + "Error"]))
SKIPPED = re.compile(r"pytest\.skip|mark\.skip|mark\.xfail|import" + r"orskip|unittest\.skip|assert" + r" True\b")
SECRET = re.compile(r"-----BEGIN [A-Z ]*PRIVATE" + r' KEY-----|"d"\s*:\s*"[\w-]{40,}"|\bmd[catls]_[\w-]{43}\b')
MACHINE = re.compile(r"(?<![\w.])/(?:root|home|farm|work)/[\w.]")

MISSPELT = re.compile(r"\bcan" + r" not\b")


@pytest.mark.parametrize(
    ("what", "pattern"),
    [("unfinished", UNFINISHED), ("secret", SECRET), ("path of one machine", MACHINE), ("misspelt", MISSPELT)],
    ids=["unfinished", "secret", "path", "misspelt"],
)
def test_no_file_holds_what_must_not_be_committed(what: str, pattern: re.Pattern[str]) -> None:
    found = [f"{path}: {match[0]}" for path, text in our_texts() if (match := pattern.search(text))]
    assert not found, f"{what}: {found}"


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    found = [
        f"{path}: {match[0]}"
        for path, text in our_texts()
        if path.parts[0] == "tests" and (match := SKIPPED.search(text))
    ]
    assert not found


def test_tests_move_the_clock_instead_of_sleeping() -> None:
    found = []
    for path in python_files("tests"):
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if (
                isinstance(called, ast.Attribute)
                and called.attr == "sleep"
                and path.parts[1] not in {"bench", "support"}
            ):
                found.append(f"{path}:{called.lineno}")
    assert not found


def test_modules_and_functions_stay_small() -> None:
    too_big = []
    for path in python_files(*PRODUCT):
        if path.parent.name == "versions":
            continue  # a migration lists what it makes, for as long as that is
        text = (ROOT / path).read_text(encoding="utf-8")
        if text.count("\n") > 300:
            too_big.append(f"{path}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno > 60:
                too_big.append(f"{path}:{node.lineno} {node.name}")
    assert not too_big


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path)
        for path in python_files(*PRODUCT, "tests")
        if (text := (ROOT / path).read_text(encoding="utf-8")).strip() and ast.get_docstring(ast.parse(text)) is None
    ]
    assert not silent
