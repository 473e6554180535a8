"""Settings: typed, overridable, and every problem named at the start."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from authz_server.catalogue.model import Catalogue
from authz_server.core import jose
from authz_server.core.settings import SettingsError
from resource_proxy import config
from resource_proxy.app import create_app
from resource_proxy.config import AgencySettings, ProxySettings

GOOD = """
url = "https://proxy.example"
issuer = "https://op.example"
client_id = "resource-proxy"
keys_file = "proxy.jwks"
read_timeout_s = 30

[agencies.ris]
url = "https://ris.example/api"
connector = "jose"

[agencies.nhi]
url = "https://nhi.example"
connector = "plain"
api_key_file = "secret/nhi"
"""


def problems_of(text: str, folder: Path, environ: dict[str, str] | None = None) -> list[str]:
    path = folder / "proxy.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        config.load(path, environ or {})
    return raised.value.problems


def test_a_file_is_read_with_paths_relative_to_it_and_defaults(tmp_path: Path) -> None:
    path = tmp_path / "proxy.toml"
    path.write_text(GOOD)
    settings = config.load(environ={"MYDATA_PROXY_SETTINGS": str(path)})
    assert settings.keys_file == tmp_path / "proxy.jwks"
    assert settings.agencies["nhi"].api_key_file == tmp_path / "secret/nhi"
    assert (settings.read_timeout_s, settings.connect_timeout_s, settings.sandbox) == (30, 15, False)
    assert settings.secure


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "proxy.toml"
    path.write_text(GOOD)
    environ = {"MYDATA_PROXY_BIND": "0.0.0.0:9443", "MYDATA_PROXY_WORKERS": "4", "MYDATA_PROXY_AGENCIES": "nonsense"}
    settings = config.load(path, environ)
    assert (settings.bind, settings.workers, set(settings.agencies)) == ("0.0.0.0:9443", 4, {"ris", "nhi"})


def test_every_problem_is_listed(tmp_path: Path) -> None:
    text = """
    url = "proxy.example"
    client_id = 7
    bind = "8001"
    workers = 0
    sandbox = "perhaps"
    log_level = "LOUD"
    frobnicate = 1
    [agencies.ris]
    connector = "jose"
    max_concurrent = "many"
    """
    assert {problem.partition(": ")[0] for problem in problems_of(text, tmp_path)} == {
        "url", "client_id", "bind", "workers", "sandbox", "log_level", "frobnicate", "issuer", "keys_file",
        "agencies.ris.url", "agencies.ris.max_concurrent",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('url = "https://proxy.example"', 'url = "http://127.0.0.1:8001"', "url"),
        ('issuer = "https://op.example"', 'issuer = "http://op.example"\nsandbox = true', "issuer"),
        ('"https://ris.example/api"', '"http://ris.example"', "agencies.ris.url"),
        ('url = "https://proxy.example"', 'url = "https://proxy.example/proxy"', "url"),
        ('client_id = "resource-proxy"', 'client_id = "p"\ntls_cert = "c.pem"', "tls_cert, tls_key"),
        ('api_key_file = "secret/nhi"', "", "agencies.nhi.api_key_file"),
        ('client_id = "resource-proxy"', 'client_id = "p"\nnonce_secret_file = "absent"', "nonce_secret_file"),
    ],
    ids=["http-not-sandbox", "http-not-loopback", "http-agency", "path", "half-tls", "no-api-key", "no-nonce-file"],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, old: str, new: str, named: str) -> None:
    (problem,) = problems_of(GOOD.replace(old, new, 1), tmp_path)
    assert problem.startswith(f"{named}: ")


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no such file"):
        config.load(tmp_path / "absent.toml", {})
    assert "proxy.toml: " in problems_of("url = ", tmp_path)[0]
    assert problems_of(GOOD.partition("[")[0] + "agencies = 7", tmp_path)[0].startswith("agencies: ")


def test_http_is_accepted_on_loopback_in_the_sandbox(settings: ProxySettings) -> None:
    assert config.contradictions(settings) == []
    assert config.contradictions(replace(settings, sandbox=False)) != []


def test_what_only_shows_when_files_are_read_is_listed_too(
    settings: ProxySettings, real_catalogue: Catalogue, key_files: Path, tmp_path: Path
) -> None:
    readable = tmp_path / "readable.jwks"
    readable.write_text(json.dumps({"keys": [jose.generate_key("ES256")]}))
    readable.chmod(0o644)
    agencies = {
        "nowhere": AgencySettings(url="https://nowhere.example", connector="jose"),
        "ris": AgencySettings(url="https://ris.example", connector="telepathy"),
        "bli": AgencySettings(url="https://bli.example", connector="plain", api_key_file=tmp_path / "absent"),
        "nhi": AgencySettings(
            url="https://nhi.example", connector="plain", api_key_file=key_files / "api-key", keys_file=readable
        ),
    }
    with pytest.raises(SettingsError) as raised:
        create_app(replace(settings, agencies=agencies), catalogue=real_catalogue)
    assert [problem.partition(": ")[0] for problem in raised.value.problems] == [
        "agencies.nowhere", "agencies.ris.connector", "agencies.bli.api_key_file", "agencies.nhi.keys_file"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("api_key", "keys", "told"),
    [
        (b"synthetic", ("ES256",), "nhi.keys_file: no key that tickets are encrypted to (use enc, EC or RSA)"),
        (b"synthetic", ("ECDH-ES",), "nhi.keys_file: no signing key"),
        ("synthetic".encode("utf-16"), ("ES256", "ECDH-ES"), "nhi.api_key_file: is UTF-16; save it as UTF-8"),
        (b"one\ntwo", ("ES256", "ECDH-ES"), "api-key: the API key must be one line of ASCII"),
        ("\u91d1\u9470".encode(), ("ES256", "ECDH-ES"), "api-key: the API key must be one line of ASCII"),
        (None, ("ES256", "ECDH-ES"), "nhi.api_key_file: [Errno 2] No such file or directory"),
        (b"\xef\xbb\xbfsynthetic\r\n", ("ES256", "ECDH-ES"), ""),
    ],
)
def test_what_a_plain_agency_is_asked_with_is_looked_at_before_anybody_comes(
    settings: ProxySettings,
    real_catalogue: Catalogue,
    tmp_path: Path,
    api_key: bytes | None,
    keys: tuple[str, ...],
    told: str,
) -> None:
    for name, content in (
        ("api-key", api_key),
        ("keys", json.dumps({"keys": [jose.generate_key(alg) for alg in keys]}).encode()),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
            (tmp_path / name).chmod(0o600)
    nhi = AgencySettings(
        url="https://nhi.example", connector="plain", api_key_file=tmp_path / "api-key", keys_file=tmp_path / "keys"
    )
    problems: list[str] = []
    try:
        create_app(replace(settings, agencies={"nhi": nhi}), catalogue=real_catalogue)
    except SettingsError as error:
        problems = error.problems
    assert bool(problems) == bool(told)
    assert all(told in problem for problem in problems)


@pytest.mark.parametrize("content", [None, "no certificate"])
@pytest.mark.parametrize("issuer", ["https://op.example", "http://127.0.0.1:8000"])
def test_authorities_that_can_not_be_read_are_told_at_the_start(
    settings: ProxySettings, real_catalogue: Catalogue, tmp_path: Path, content: str | None, issuer: str
) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    agencies = {"ris": AgencySettings(url="https://ris.example", connector="jose")}
    wrong = replace(settings, issuer=issuer, agencies=agencies, ca_file=tmp_path / "ca.pem")
    with pytest.raises(SettingsError, match=r"^ca_file: .*ca\.pem"):
        create_app(wrong, catalogue=real_catalogue)


@pytest.mark.parametrize(
    ("issuer", "browser_origin", "origin"),
    [
        ("https://op.example", None, "https://op.example"),
        ("https://OP.example:443", None, "https://op.example"),
        ("https://op.example", "https://pages.example:443", "https://pages.example"),
        ("https://op.example:8443", None, "https://op.example:8443"),
        ("http://localhost:80", None, "http://localhost"),
        ("https://[2001:DB8::443]:443", None, "https://[2001:db8::443]"),
    ],
)
def test_the_pages_that_may_fetch_are_named_as_browsers_name_them(
    settings: ProxySettings, issuer: str, browser_origin: str | None, origin: str
) -> None:
    assert replace(settings, issuer=issuer, browser_origin=browser_origin).allowed_origin == origin


def test_secrets_are_not_in_the_repr(settings: ProxySettings) -> None:
    assert "synthetic-api-key" not in repr(settings)


def test_unusable_own_keys_are_named(settings: ProxySettings, real_catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="keys_file"):
        create_app(replace(settings, keys_file=tmp_path / "absent"), catalogue=real_catalogue)
    short = tmp_path / "short"
    short.write_bytes(b"too short")
    with pytest.raises(SettingsError, match="32 random bytes"):
        create_app(replace(settings, nonce_secret_file=short), catalogue=real_catalogue)


def test_the_command_names_every_problem_and_does_not_serve(tmp_path: Path) -> None:
    path = tmp_path / "proxy.toml"
    path.write_text("frobnicate = 1")
    environ = {**os.environ, "MYDATA_PROXY_SETTINGS": str(path)}
    done = subprocess.run([sys.executable, "-m", "resource_proxy"], env=environ, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("mydata: ")
    assert "frobnicate: is not a setting" in done.stderr
    assert "issuer: is missing" in done.stderr
    assert "Traceback" not in done.stderr
