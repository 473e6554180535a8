"""Class 28: an answer about a single-use token comes from a cache (Hydra CVE-2021-32701)."""

import ast

from tests.support.platform import Platform
from tests.support.protocol import dataset_token
from tests.support.tree import ROOT, python_files

KEEPS_STATE = {"authz_server/tokens", "authz_server/single_use", "authz_server/audit"}


def test_introspection_tells_of_a_use_at_once(platform: Platform) -> None:
    fetch = dataset_token(platform)
    for active in (True, True, False):
        if not active:
            fetch.exchange()
        answer = platform.proxy.post("/introspect", {"token": fetch.token})
        assert answer.get_json()["active"] is active
        assert answer.headers["Cache-Control"] == "no-store"
        assert "ETag" not in answer.headers


def test_the_modules_that_decide_on_tokens_remember_no_answers() -> None:
    found = []
    for path in python_files("authz_server"):
        if str(path.parent) not in KEEPS_STATE:
            continue
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and "session" in {argument.arg for argument in node.args.args}:
                found += [f"{path}:{node.name}" for item in node.decorator_list if "cache" in ast.unparse(item)]
    assert not found
