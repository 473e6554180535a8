"""The committed style sheet is the compiled one, small, and asks nobody for anything."""

import gzip
import hashlib
import re

from tests.support.tree import ROOT

STATIC = ROOT / "authz_server" / "static"
CSS = (STATIC / "mydata.css").read_text(encoding="utf-8")


def test_the_committed_style_sheet_was_compiled_from_the_committed_source() -> None:
    source = (ROOT / "authz_server" / "portal" / "stylesheet" / "mydata.scss").read_bytes()
    assert f"sha256:{hashlib.sha256(source).hexdigest()};" in CSS.splitlines()[0], "run `make css`"


def test_it_loads_nothing() -> None:
    assert not re.search(r"url\(|@import|@font-face", CSS)


def test_no_branding_of_another_government() -> None:
    assert not re.search(r"GDS Transport|crest|crown(?!\s+copyright)", CSS.partition("*/")[2], re.IGNORECASE)


def test_style_and_pictures_of_a_page_stay_far_below_the_limit() -> None:
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in STATIC.iterdir()}
    scripts = {
        "passkey.js": ["passkey.js"],
        "verify.js": ["verify.js", "package.js"],
        "download.js": ["download.js", "package.js"],
    }
    heaviest = max(sum(sizes[name] for name in page) for page in scripts.values())
    assert sizes["mydata.css"] + sizes["mark.svg"] + heaviest < 21_000
