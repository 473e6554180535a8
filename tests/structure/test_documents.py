"""The documents name only what exists: make targets, files, headings, versions."""

import re
import tomllib
from pathlib import Path

import authz_server
from tests.support.tree import ROOT, our_texts, tracked_files

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
TARGET = re.compile(r"^([a-z][a-z-]*):(?!=)", re.MULTILINE)
DESCRIBED = re.compile(r"^([a-z][a-z-]*):.*?## \S", re.MULTILINE)


def documents() -> list[tuple[Path, str]]:
    """Each where it lies: a link to it would lead from there to other places."""
    return [(path, text) for path, text in our_texts() if path.suffix == ".md" and not (ROOT / path).is_symlink()]


def makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


def test_every_make_target_in_a_document_exists() -> None:
    known = set(TARGET.findall(makefile()))
    missing = {
        f"{path}: make {name}"
        for path, text in documents()
        for name in re.findall(r"`make ([a-z][a-z-]*)|^\s*make ([a-z][a-z-]*)", text, re.MULTILINE)
        for name in name
        if name and name not in known
    }
    assert not missing


def test_make_help_lists_every_target_that_people_call() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", makefile(), re.MULTILINE)
    assert phony is not None
    inner = {"programs"}  # what `make test` needs; harmless, but nothing to call by hand
    assert set(DESCRIBED.findall(makefile())) == set(phony[1].split()) - inner


def test_what_is_installed_is_compiled_and_pip_installs_what_uv_can_not() -> None:
    """As root installs it, for services that may not write there: they would compile everything at each start."""
    by_uv = re.findall(r"^\t\$\(UV\) (.*)$", makefile().replace("\\\n", " "), re.MULTILINE)
    assert len(by_uv) == 2
    assert "--compile-bytecode" in by_uv[0]
    for recipe in by_uv:
        first, _, instead = recipe.partition("|| $(PIP) ")
        only_uv = {"--system-certs", "--offline", "--compile-bytecode"}
        assert instead.split() == [word for word in first.split() if word not in only_uv]


def test_every_link_in_a_document_leads_somewhere() -> None:
    known = {str(path) for path in tracked_files()}
    folders = {str(parent) for path in tracked_files() for parent in path.parents}
    broken = []
    for path, text in documents():
        for target in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            found = path if not file else Path(_normal(path.parent / file))
            if str(found) not in known | folders or (
                anchor and found.suffix == ".md" and anchor not in _anchors((ROOT / found).read_text(encoding="utf-8"))
            ):
                broken.append(f"{path}: {target}")
    assert not broken


def test_the_changelog_has_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[?{re.escape(authz_server.__version__)}\b", changelog, re.MULTILINE)


def test_every_toml_file_can_be_read() -> None:
    for path in tracked_files():
        if path.suffix == ".toml":
            tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


def _normal(path: Path) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return str(Path(*parts))


def _anchors(text: str) -> set[str]:
    """Anchors of the headings, as code hosts make them: lower case, no punctuation, spaces become hyphens."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
