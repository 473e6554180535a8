"""What docs/integrate.md says of limits and of forms is what is enforced."""

import re

from authz_server.catalogue.parameters import TYPES
from authz_server.core import dpop
from authz_server.oauth import client_auth
from tests.support.tree import ROOT

GUIDE = (ROOT / "docs" / "integrate.md").read_text(encoding="utf-8")


def test_each_type_of_parameter_is_written_as_the_guide_shows() -> None:
    section = GUIDE.partition("\n### Parameters\n")[2].partition("\n## ")[0]
    shown: set[str] = set()
    for kinds, examples in re.findall(r"^\| (`[a-z`, ]+`) \| (`\"[^|]+) \|", section, re.MULTILINE):
        for kind, example in zip(re.findall(r"`(\w+)`", kinds), re.findall(r'"([^"]+)"', examples), strict=True):
            assert next(kind_of.parse(example) for name, kind_of in TYPES.items() if name == kind) == example
            shown.add(kind)
    assert shown == set(TYPES)


def test_how_far_a_clock_may_be_off_is_said() -> None:
    (of_assertions,) = re.findall(r"^\| `invalid_client` .*", GUIDE, re.MULTILINE)
    assert f"fast by more than {client_auth.SKEW_S} s" in of_assertions
    (of_proofs,) = re.findall(r"^\| `invalid_dpop_proof` \| `htu`.*", GUIDE, re.MULTILINE)
    assert f"fast by more than {dpop.MAX_AHEAD_S} s" in of_proofs
