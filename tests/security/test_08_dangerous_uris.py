"""Class 8: a URI that runs, registered or rendered (authentik CVE-2024-21637, Authlib 1.9.3)."""

import pytest

from authz_server.clients.document import RegistrationError
from tests.support.platform import CALLBACK, Platform
from tests.support.protocol import new_bank, opened

DANGEROUS = [
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://bank.example/x",
    "about:blank",
    "http://bank.example/callback",
    "https://bank.example/callback?code=x",
    "https://bank.example/callback?a=1&state=x",
    "https://bank.example/callback#x",
    "https://bank.example/callback;script-src *",
    'https://bank.example/"onmouseover=x',
    "https://bank.example/<script>",
    "https://user@bank.example/callback",
    "https://測試.example/callback",
    "",
]


@pytest.mark.parametrize("uri", DANGEROUS)
@pytest.mark.parametrize("member", ["redirect_uris", "privacy_url", "jwks_uri"])
def test_it_can_not_be_registered(platform: Platform, member: str, uri: str) -> None:
    if member != "redirect_uris" and uri.startswith("https://bank.example/callback?"):
        return  # only an answer's parameters must not be there already
    changes = {member: [uri] if member == "redirect_uris" else uri}
    with pytest.raises(RegistrationError, match=member):
        new_bank(platform, **changes, **({"jwks": None} if member == "jwks_uri" else {}))


def test_pages_run_nothing_and_a_password_leads_nowhere_but_to_the_registered_origin(platform: Platform) -> None:
    request_uri = platform.bank.push()
    question = opened(platform.citizen(), platform.bank, request_uri)
    to_sign_in = opened(platform.citizen(signed_in=False), platform.bank, platform.bank.push())
    sign_in = platform.browser().get(to_sign_in.location)
    for page, target in ((question, "https:"), (sign_in, "https://bank.example")):
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert f"form-action 'self' {target};" in policy
        assert "base-uri 'none'" in policy
        assert "script-src" not in policy
        assert CALLBACK not in page.text
