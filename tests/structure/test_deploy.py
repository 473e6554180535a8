"""The example configuration for operators keeps what the requirements ask of it."""

import re
from configparser import ConfigParser, SectionProxy
from dataclasses import fields

import pytest

from authz_server.certificate_settings import CertificateSettings
from authz_server.config import Limits, MailSettings, Settings, SmsSettings
from authz_server.neighbours import AuthoritySettings, RegistrySettings, UpstreamSettings
from resource_proxy.config import AgencySettings, ProxySettings
from resource_proxy.http_wire import IDLE_LIMIT_S
from tests.support.tree import ROOT

# S-02: what TLS 1.2 may offer, in OpenSSL's names.
ALLOWED = {
    f"ECDHE-{signature}-{cipher}"
    for signature in ("ECDSA", "RSA")
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
}
BCP_195 = {name for name in ALLOWED if "AES" in name}


def values(directive: str) -> list[str]:
    text = re.sub(r"#.*", "", (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8"))
    return re.findall(rf"^\s*{directive}\s+([^;]+);", text, re.MULTILINE)


def test_s01_s04_s06_nginx_offers_tls_1_2_and_1_3_only() -> None:
    assert [set(value.split()) for value in values("ssl_protocols")] == [{"TLSv1.2", "TLSv1.3"}]


def test_s02_s03_s06_nginx_offers_forward_secret_authenticated_suites_only() -> None:
    (suites,) = (set(value.split(":")) for value in values("ssl_ciphers"))
    assert suites <= ALLOWED
    assert suites & BCP_195


def test_s06_the_document_for_operators_states_the_very_lines() -> None:
    document = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    for directive in ("ssl_protocols", "ssl_ciphers"):
        (value,) = values(directive)
        assert f"{directive} {value};" in document


def test_s05_every_tls_host_sends_hsts() -> None:
    listening = [value for value in values("listen") if "ssl" in value and not value.startswith("[")]
    assert len(values("add_header Strict-Transport-Security")) == len(listening) == 3


def test_no_answer_of_the_resource_proxy_may_rest_in_nginx() -> None:
    assert values("proxy_buffering") == ["off"]


def test_nothing_that_passes_rests_in_a_file_of_nginx() -> None:
    for_all = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8").partition("\nserver {")[0]
    assert "\nproxy_max_temp_file_size 0;" in for_all
    assert "\nclient_body_buffer_size 128k;" in for_all
    assert values("proxy_max_temp_file_size") == ["0"]
    assert values("client_body_buffer_size") == ["128k", "4m"]
    assert values("client_max_body_size") == ["128k", "4m", "128k", "1k"]


def test_nginx_sends_no_fetch_twice_and_trusts_no_connection_that_our_servers_may_close() -> None:
    assert values("proxy_next_upstream") == ["off"]
    assert {float(value.removesuffix("s")) for value in values("keepalive_timeout")} == {IDLE_LIMIT_S}
    assert len(values("keepalive_timeout")) == len(values("keepalive")) == 2


def test_no_server_of_nginx_lets_a_browser_say_which_certificate_it_has() -> None:
    assert values("proxy_set_header X-Client-Cert-Hop") == ['""']  # the other is in the file that only root reads
    assert values("underscores_in_headers") == ["off"]


def test_logs_of_nginx_leave_out_the_query() -> None:
    (log_format,) = values("log_format without_query")
    assert "$request " not in log_format
    assert "$args" not in log_format
    assert all(value == "off" or value.endswith("without_query") for value in values("access_log"))


@pytest.mark.parametrize("name", ["serve", "worker", "proxy"])
def test_each_service_has_a_unit_that_calls_the_command(name: str) -> None:
    service = service_of(name)
    assert service["ExecStart"].endswith(f"/mydata {name}")
    assert service["NoNewPrivileges"] == "true"


def test_where_weights_decide_requests_go_before_the_worker() -> None:
    weights = {name: int(service_of(name).get("CPUWeight", "100")) for name in ("serve", "worker", "proxy")}
    assert weights["worker"] < min(weights["serve"], weights["proxy"])


def service_of(name: str) -> SectionProxy:
    """What its unit says of a service."""
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # names in units keep their case
    unit.read(ROOT / "deploy" / "systemd" / f"mydata-{name}.service", encoding="utf-8")
    return unit["Service"]


@pytest.mark.parametrize(
    "kind",
    [
        Settings,
        Limits,
        MailSettings,
        SmsSettings,
        CertificateSettings,
        RegistrySettings,
        UpstreamSettings,
        AuthoritySettings,
        ProxySettings,
        AgencySettings,
    ],
)
def test_the_document_for_operators_names_every_key(kind: type[Settings]) -> None:
    document = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert not [item.name for item in fields(kind) if not re.search(rf"\b{item.name}\b", document)]


def test_the_limits_that_the_document_for_operators_states_are_the_defaults() -> None:
    document = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    stated = {name: int(value) for name, value in re.findall(r"^(\w+) = (\d+)\b", _block(document), re.MULTILINE)}
    assert stated.items() <= {item.name: item.default for item in fields(Limits)}.items()
    assert len(stated) > 20


def _block(document: str) -> str:
    """The first table of limits."""
    return document.partition("\n[limits]")[2].partition("```")[0]
