"""A Chromium without scripts, and really started servers for it to visit."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from client_examples.sandbox.sandbox import Sandbox
from tests.browser.support import CHROMIUM, FLAGS


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The platform and its neighbours, each a process, on free ports."""
    # A password is enough here, so that every page has several ways to sign in.
    levels = {"password_totp": 1, "passkey": 2, "certificate": 1}
    with Sandbox(banks=("bank",), server={"method_levels": levels}) as sandbox:
        yield sandbox
