"""What the page for developers makes of their choice works as it stands: it registers, and both programs push it."""

import html
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests

from client_examples.sandbox.browser import Browser
from client_examples.sandbox.promises import asked_to_sign_in
from client_examples.sandbox.sandbox import Sandbox
from tests.client_examples.agency_platform import EXAMPLES

CLIENT_ID = "builder-of-requests"
REDIRECT_URI = "http://127.0.0.1:8009/callback?from=mydata&again=$(id)"
GIVEN = {"year": "113", "county": "臺北市", "town": "中正區", "section": "中正段"}
PERIOD = {"first": "2025-01", "last": "2025-06"}
STEP_S = 60


def chosen_everything(sandbox: Sandbox) -> tuple[str, dict[str, str]]:
    """The address of the form for all datasets, and the form: each parameter, and every other field optional."""
    agencies = requests.get(f"{sandbox.issuer}/catalogue", timeout=STEP_S).json()["agencies"]
    datasets = [dataset for agency in agencies for dataset in agency["datasets"]]
    form = {"client_id": CLIENT_ID, "purpose": "all-of-it", "redirect_uri": REDIRECT_URI}
    for dataset in datasets:
        for number, field in enumerate(dataset["fields"]):
            form[f"field/{dataset['id']}/{field['id']}"] = ("required", "optional", "")[number % 3]
        for parameter in dataset["parameters"]:
            name = f"{dataset['id']}/{parameter['id']}"
            if parameter["type"] == "period":
                form |= {f"{name}/{end}": month for end, month in PERIOD.items()}
            else:
                form[name] = GIVEN[parameter["type"]]
    return f"{sandbox.issuer}/developer/request?{urlencode([('dataset', each['id']) for each in datasets])}", form


@pytest.fixture(scope="module")
def folder(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a developer has saved what the page made, with their keys; the purpose is registered."""
    made = tmp_path_factory.mktemp("developer")
    address, form = chosen_everything(sandbox)
    visit = requests.Session()
    token = re.search(r'name="csrf" value="([^"]*)"', visit.get(address, timeout=STEP_S).text)
    assert token
    page = visit.post(address, data=form | {"csrf": token[1]}, timeout=STEP_S)
    assert page.status_code == 200, page.text
    shown = re.findall(r'<pre [^>]*id="(.*?)">(.*?)</pre>', page.text, re.DOTALL)
    texts = {name: html.unescape(text) for name, text in shown}
    for name in ("push.py", "push.sh"):
        (made / name).write_text(texts[name] + "\n")
    init = [
        sys.executable,
        "-m",
        "client_examples.bank_web",
        "--init",
        "--folder",
        str(made),
        "--bind",
        "127.0.0.1:8009",
    ]
    subprocess.run(init, cwd=EXAMPLES.parent, check=True, timeout=STEP_S)
    (made / "signing-key.json").write_text(json.dumps(json.loads((made / "keys.json").read_text())[0]))
    document, _, _ = (made / "client.toml").read_text().partition("[purposes.")
    document = re.sub("(?m)^client_id = .*$", f'client_id = "{CLIENT_ID}"', document)
    document = re.sub("(?m)^redirect_uris = .*$", lambda _: f'redirect_uris = ["{REDIRECT_URI}"]', document)
    (made / "client.toml").write_text(f"{document}{texts['purpose.toml']}\n")
    sandbox.commands(["client", "add", made / "client.toml"])
    return made


def run(folder: Path, *command: str) -> str:
    """What a command prints, run in the folder with this Python."""
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    done = subprocess.run(command, cwd=folder, env={"PATH": path}, capture_output=True, text=True, timeout=STEP_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_program_prints_where_the_citizen_goes(sandbox: Sandbox, folder: Path) -> None:
    address = run(folder, "python3", "push.py").splitlines()[-1]
    page = Browser("en").open(address)
    assert page.status == 200
    assert asked_to_sign_in(page)


def test_curl_pushes_the_same(sandbox: Sandbox, folder: Path) -> None:
    request_uri = json.loads(run(folder, "bash", "push.sh"))["request_uri"]
    asked = urlencode({"client_id": CLIENT_ID, "request_uri": request_uri})
    page = Browser("en").open(f"{sandbox.issuer}/authorize?{asked}")
    assert page.status == 200
    assert asked_to_sign_in(page)


def test_the_program_says_what_is_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("push.py", "signing-key.json"):
        text = (folder / name).read_text()
        (tmp_path / name).write_text(text.replace('"all-of-it"', '"another"'))
    done = subprocess.run([sys.executable, "push.py"], cwd=tmp_path, capture_output=True, text=True, timeout=STEP_S)
    assert done.returncode == 1
    for told in ("400", "invalid_authorization_details", "trace id"):
        assert told in done.stderr
