"""Reading a document with all its problems, and finding the lines of them."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from authz_server.catalogue.document import Problem, Table, dotted
from authz_server.catalogue.toml_lines import line_numbers, line_of

TEXT = '''\
# a = 1
title = "x"   # [not.a.header]
story = """
title = "not this one"
[nor.this]
"""
list = [
  "a = 1",
  { deep = 1 },
]
inline = { first = 1, second = 2 }

[table."fia.income"]
key = 1
dotted.key = 2

[[rows]]
id = "one"
[rows.sub]
id = "sub of one"

[[rows]]
id = "two"
[[rows.cells]]
id = "cell of two"
'''


def test_a_key_is_found_by_its_line() -> None:
    lines = line_numbers(TEXT)
    found = {
        path: TEXT.splitlines()[line_of(path, lines) - 1]
        for path in (
            ("title",),
            ("list", 1, "deep"),
            ("inline", "second"),
            ("table", "fia.income", "key"),
            ("table", "fia.income", "dotted", "key"),
            ("table", "fia.income", "absent"),
            ("rows", 0, "sub", "id"),
            ("rows", 1, "id"),
            ("rows", 1, "cells", 0, "id"),
            ("rows", 1),
        )
    }
    assert list(found.values()) == [
        'title = "x"   # [not.a.header]',
        "list = [",
        "inline = { first = 1, second = 2 }",
        "key = 1",
        "dotted.key = 2",
        '[table."fia.income"]',
        'id = "sub of one"',
        'id = "two"',
        'id = "cell of two"',
        "[[rows]]",
    ]
    assert lines["rows", 1] > lines["rows", 0]
    assert line_of(("nowhere",), lines) == 1


def test_every_problem_is_noted_with_its_path() -> None:
    problems: list[Problem] = []
    table = Table({"a": 1, "b": True, "c": ["x", "x", 2], "d": {"zh": "字"}, "f": [3], "spare": 1}, problems)
    assert table.text("a") == ""
    assert table.whole("b", 1, 9) == 1
    assert table.texts("c", most=5) == ("x",)
    assert table.localized("d").zh == "字"
    assert table.table("e", optional=True) is not None
    assert [item.whole("id", 1, 9) for item in table.tables("f")] == [1]
    assert table.table("g") is None
    table.done()
    assert [str(problem) for problem in problems] == [
        "a: must be a text",
        "b: must be a whole number",
        "c[1]: is there twice",
        "c[2]: must be a text of 1 to 200 characters",
        "d.en: is missing",
        "f[0]: must be a table",
        "g: is missing",
        "spare: is not known here",
    ]


def test_a_path_reads_like_toml() -> None:
    assert dotted(("purposes", "loan", "datasets", "fia.income", "fields", 0)) == (
        'purposes.loan.datasets."fia.income".fields[0]'
    )


NAMES = st.sampled_from(["a", "b-1", "fia.income", "字"])
VALUES = st.recursive(
    st.integers() | st.text(alphabet="ab\"\\#[{\n'字", max_size=8) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def as_toml(value: Any) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if isinstance(value, list):
        return "[\n" + "".join(f"  {as_toml(item)},\n" for item in value) + "]"
    return str(value).lower()


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), max_size=3))
def test_any_key_is_found_whatever_stands_around_it(document: dict[str, dict[str, Any]]) -> None:
    text = ""
    expected: dict[tuple[str | int, ...], int] = {}
    for name, table in document.items():
        expected[name,] = text.count("\n") + 1
        text += f"[{as_toml(name)}]\n"
        for key, value in table.items():
            expected[name, key] = text.count("\n") + 1
            text += f"{as_toml(key)} = {as_toml(value)}\n"
    assert tomllib.loads(text) == document
    assert line_numbers(text) == expected
