"""A Chromium without scripts, and really started servers for it to visit."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from client_examples.sandbox.sandbox import Sandbox
from client_examples.sandbox.settings import certificate_settings, write_private
from tests.browser.support import CHROMIUM, FLAGS, HOP_SECRET, LIMIT_MS
from tests.support.ports import free_port


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    expect.set_options(timeout=LIMIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=LIMIT_MS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The platform and its neighbours, each a process, on free ports."""
    work, hop = (tmp_path_factory.mktemp(name) for name in ("sandbox", "hop"))
    write_private(hop / "secret", HOP_SECRET.encode())
    certificate = certificate_settings(work / "ca")["certificate"]
    changed = {
        # A password is enough here, so that every page has several ways to sign in.
        "method_levels": {
            "password_totp": 1,
            "passkey": 2,
            "certificate": 1,
            "health_card": 3,
            "two_documents": 4,
            "upstream": 3,
            "email_code": 5,
        },
        # Where nobody is: its pages are looked at, and what they say then.
        "upstream": {
            "bank": {
                "name": {"zh": "甲銀行", "en": "First Bank of Samples"},
                "issuer": f"http://127.0.0.1:{free_port()}",
                "client_id": "mydata",
                "keys_file": "keys.json",
                "acr": {"high": 3},
            },
        },
        # As if a proxy asked browsers for their certificates; `Visitor.shows` stands for it.
        "certificate": certificate | {"tls_url": "https://localhost:8443", "hop_secret_file": hop / "secret"},
    }
    with Sandbox(work=work, banks=("bank", "desk"), server=changed) as sandbox:
        yield sandbox
