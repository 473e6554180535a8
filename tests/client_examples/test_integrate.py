"""docs/integrate.md is true: its commands and programs run as they stand, in order, against the sandbox."""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from client_examples.sandbox.addresses import FRIENDLY_PORTS
from client_examples.sandbox.browser import Browser, Page
from client_examples.sandbox.promises import asked_to_sign_in, sign_in
from client_examples.sandbox.sandbox import Sandbox
from tests.client_examples.agency_platform import EXAMPLES

ROOT = EXAMPLES.parent
GUIDE = (ROOT / "docs" / "integrate.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAVED_AS = {"python": "my_fetch.py", "js": "my_fetch.js"}
STEPS_S = 240
(CALLBACK,) = set(re.findall(r"http://127\.0\.0\.1:\d+/callback", GUIDE))


def script() -> str:
    """All of the guide as one shell script; programs are saved where the reader is told to save them."""
    parts = ["set -euo pipefail"]
    for language, text in BLOCK.findall(GUIDE):
        if language == "bash":
            parts.append(text)
        elif language in SAVED_AS:
            parts.append(f"cat > \"$MINE/{SAVED_AS[language]}\" <<'END OF PROGRAM'\n{text}END OF PROGRAM\n")
    return "\n".join(parts)


class Citizen:
    """Opens each address that the guide prints, and agrees; the callback is where the browser would be sent."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.browser = Browser(stop_at=CALLBACK)

    def agree(self, address: str) -> str:
        page: Page = self.browser.open(address)
        if asked_to_sign_in(page):
            page = sign_in(self.browser, page, self.sandbox.citizens[0], lambda _step: None)
        self.browser.submit(page, "consent-approve")
        return self.browser.stopped_at


def test_the_guide_leads_from_nothing_to_data(sandbox: Sandbox, tmp_path: Path) -> None:
    citizen, shown = Citizen(sandbox), []
    environment = sandbox.environment | {
        "ISSUER": sandbox.issuer,
        "SANDBOX": str(sandbox.work),
        "TMPDIR": str(tmp_path),
    }
    with subprocess.Popen(
        ["timeout", str(STEPS_S), "bash", "-c", script()],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as shell:
        assert shell.stdout is not None
        assert shell.stdin is not None
        for line in shell.stdout:
            shown.append(line)
            if line.startswith(f"{sandbox.issuer}/authorize?"):
                shell.stdin.write(f"{citizen.agree(line.strip())}\n")
                shell.stdin.flush()
    output = "".join(shown)
    assert shell.returncode == 0, output
    assert output.count("測試市民甲") == 3, output
    assert len(re.findall(r"^done ", output, re.MULTILINE)) == 2, output


def test_nobody_listens_where_the_guide_has_the_citizen_sent_back() -> None:
    """The sandbox that the guide starts takes these ports: one of its programs would get the code."""
    assert urlsplit(CALLBACK).port not in FRIENDLY_PORTS.values()


@pytest.mark.parametrize("language", ["sh", "bash", "python", "js"])
def test_the_guide_has_something_to_run_in_each_language(language: str) -> None:
    assert language in {found for found, _ in BLOCK.findall(GUIDE)}
