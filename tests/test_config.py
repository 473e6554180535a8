"""Settings are read once, and everything that is wrong with them is told at once."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from authz_server import config
from authz_server.core.settings import SettingsError

GOOD: dict[str, Any] = {
    "issuer": "https://mydata.example",
    "database_url": "sqlite:///mydata.sqlite3",
    "keys_file": "keys.json",
    "secret_file": "secret",
    "proxy_url": "https://data.mydata.example",
}


def problems_of(tmp_path: Path, **changes: Any) -> list[str]:
    """What is wrong with good settings after these changes; None takes a key away."""
    document = {name: value for name, value in (GOOD | changes).items() if value is not None}
    with pytest.raises(SettingsError) as caught:
        config.parse(document, base=tmp_path)
    return caught.value.problems


def test_good_settings_are_read(tmp_path: Path) -> None:
    settings = config.parse(GOOD, base=tmp_path)
    assert settings.keys_file == tmp_path / "keys.json"
    assert settings.limits.code_ttl_s == 60
    assert settings.secure


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, issuer=None, workers="many", colour="blue", sandbox="perhaps")
    assert [problem.partition(":")[0] for problem in problems] == ["colour", "issuer", "workers", "sandbox"]


@pytest.mark.parametrize("url", ["http://mydata.example", "http://127.0.0.1:8000"])
def test_http_is_refused_outside_the_sandbox(tmp_path: Path, url: str) -> None:
    assert "must be https" in problems_of(tmp_path, issuer=url)[0]


def test_http_is_refused_in_the_sandbox_too_but_on_loopback(tmp_path: Path) -> None:
    assert "must be https" in problems_of(tmp_path, issuer="http://mydata.example", sandbox=True)[0]
    config.parse(GOOD | {"issuer": "http://127.0.0.1:8000", "sandbox": True}, base=tmp_path)


@pytest.mark.parametrize(
    "issuer",
    [
        "https://mydata.example/",
        "https://mydata.example?a=b",
        "https://mydata.example?",
        "https://mydata.example#",
        "https://mydata.example:99999",
        "https://my data.example",
        "https://mydata\t.example",
        "https://a@mydata.example",
        "mydata.example",
        "https://",
    ],
)
def test_an_issuer_that_could_be_written_in_two_ways_is_refused(tmp_path: Path, issuer: str) -> None:
    assert problems_of(tmp_path, issuer=issuer)[0].startswith("issuer: ")


def test_a_request_uri_is_good_for_as_long_as_its_client_is_told(tmp_path: Path) -> None:
    """RFC 9126 section 2.2, `expires_in`: it can't be begun once the time to decide is over."""
    config.parse(GOOD | {"limits": {"request_uri_ttl_s": 90, "transaction_ttl_s": 90}}, base=tmp_path)
    (problem,) = problems_of(tmp_path, limits={"request_uri_ttl_s": 90, "transaction_ttl_s": 89})
    assert problem == "limits.transaction_ttl_s: must not be less than request_uri_ttl_s, 90"


@pytest.mark.parametrize("name", ["issuer", "proxy_url"])
def test_what_is_reached_under_a_path_is_refused(tmp_path: Path, name: str) -> None:
    """Pages link to each other by their paths, and the proxy's metadata would lie elsewhere (RFC 9728 section 3.1)."""
    (problem,) = problems_of(tmp_path, **{name: "https://gov.example/mydata"})
    assert problem == f"{name}: must be an origin, without a path"


def test_no_method_is_worth_more_than_it_may_be_at_best(tmp_path: Path) -> None:
    assert "level 3 at best" in problems_of(tmp_path, method_levels={"password_totp": 1})[0]
    assert "level 2 at best" in problems_of(tmp_path, method_levels={"passkey": 1})[0]
    assert "level 4 at best" in problems_of(tmp_path, method_levels={"two_documents": 3})[0]
    assert "level 5 at best" in problems_of(tmp_path, method_levels={"email_code": 4}, sandbox=True)[0]
    assert "is not an identity method" in problems_of(tmp_path, method_levels={"tarot": 4})[0]


ABSURD: list[Any] = [2.9, float("inf"), float("nan"), True, -1, 10**12, "2.9", "٣", "1_0", "9" * 5000, "", [], {}]


@pytest.mark.parametrize("number", [0, *ABSURD])
def test_a_number_that_is_not_whole_or_out_of_its_bounds_is_refused_with_them(tmp_path: Path, number: Any) -> None:
    told = "must be a whole number, 1 to 4096"
    assert problems_of(tmp_path, queue=number) == [f"queue: {told}"]
    registry = {"id": "registry", "url": "https://registry.example", "jwks_file": "jwks", "max_concurrent": number}
    told_inside = [f"registries.health_card.max_concurrent: {told}"]
    assert problems_of(tmp_path, registries={"health_card": registry}) == told_inside


@pytest.mark.parametrize("limit", [limit.name for limit in fields(config.Limits)])
def test_each_limit_has_bounds(tmp_path: Path, limit: str) -> None:
    for number in ABSURD:
        (problem,) = problems_of(tmp_path, limits={limit: number})
        assert problem.startswith(f"limits.{limit}: must be a whole number, ")
    config.parse(GOOD | {"limits": {limit: getattr(config.Limits(), limit)}}, base=tmp_path)


def test_no_limit_is_zero_but_where_that_means_something(tmp_path: Path) -> None:
    limits = {limit.name: 0 for limit in fields(config.Limits)}
    refused = {problem.partition(":")[0] for problem in problems_of(tmp_path, limits=limits)}
    assert {f"limits.{name}" for name in limits} - refused == {
        "limits.email_code_pause_s",  # none
        "limits.anomaly_again_s",  # never
        "limits.anomaly_from_hour",  # midnight,
        "limits.anomaly_until_hour",  # and until then: none is unusual
        "limits.anomaly_denials",  # never
        "limits.adult_years",  # from any age
        "limits.client_requests_s",  # none is kept
    }


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "bind": ["127.0.0.1:0", "127.0.0.1:70000", ":80", "999.1.1.1:80", "localhost:80", "[::1:80", "[127.0.0.1]:80"],
        "database_url": ["mydata", "https://x", "sqlite+nothing:///x", "postgresql://u:hunter2@h/d", "p://u:hunter2:"],
        "issuer": ["https://x:", "https://[::1", "https://x:70000", "/relative"],
        "proxy_url": ["https://x:0", "data"],
        "keys_file": ["", " ", "a\0b", 7],
        "sandbox": [0, 1, "yes", ""],
        "trusted_hops": [-1, 10**6],
        "method_levels": ["", [], {}],
        "method_levels.passkey": [{"passkey": 0}, {"passkey": 6}, {"passkey": "x"}],
        "registries": ["", []],
        "upstream": ["", []],
        "allowed_outbound_hosts": [["x"], ["x:0"], ["x:70000"], ["https://x:1"]],
        "limits": ["", [], 1],
        "authority.name": [{"name": 1}],
        "authority.name.en": [{"name": {"zh": "x"}}],
        "mail.port": [{"host": "x.example", "sender": "a@b.example", "port": port} for port in (0, 70000)],
        "mail.host": [{"host": host, "sender": "a@b.example"} for host in ("x:25", "[::1]", "a b", ":80")],
    }.items(),
)
def test_what_no_server_could_run_with_is_told_by_its_name_alone(tmp_path: Path, name: str, values: list[Any]) -> None:
    for value in values:
        (told,) = problems_of(tmp_path, **{name.partition(".")[0]: value})
        assert told.startswith(f"{name}: "), value
        assert "hunter2" not in told


@pytest.mark.parametrize("hosts", [1, True, {"a": "b"}, [1]])
def test_what_is_no_list_of_texts_is_told_as_that(tmp_path: Path, hosts: Any) -> None:
    assert problems_of(tmp_path, allowed_outbound_hosts=hosts) in (
        ["allowed_outbound_hosts: must be a list of texts"],
        ["allowed_outbound_hosts: must be a text"],
    )


def test_a_host_may_have_the_name_of_a_container(tmp_path: Path) -> None:
    changed = {"allowed_outbound_hosts": ["Mock_Agency:8443", "[FD00::1]:80"], "mail": MAIL | {"host": "mail_relay"}}
    settings = config.parse(GOOD | changed, base=tmp_path)
    assert (settings.allowed_outbound_hosts, settings.mail.host if settings.mail else "") == (
        ("mock_agency:8443", "[fd00::1]:80"),  # so that a URL in any case is found there
        "mail_relay",
    )


def test_codes_and_request_uris_live_no_longer_than_the_profile_allows(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, limits={"code_ttl_s": 61, "request_uri_ttl_s": 600})
    assert [problem.partition(":")[0] for problem in problems] == ["limits.request_uri_ttl_s", "limits.code_ttl_s"]
    config.parse(GOOD | {"limits": {"code_ttl_s": 60, "request_uri_ttl_s": 599}}, base=tmp_path)


def test_unknown_limits_are_named(tmp_path: Path) -> None:
    assert problems_of(tmp_path, limits={"code_ttl": 60}) == ["limits.code_ttl: is not a setting"]


def test_a_record_that_is_kept_shorter_than_the_law_wants_is_refused(tmp_path: Path) -> None:
    assert "365 to 36500: the law" in problems_of(tmp_path, limits={"record_days": 364})[0]
    assert config.parse(GOOD | {"limits": {"record_days": 365}}, base=tmp_path).limits.record_days == 365


def test_an_hour_that_no_day_has_is_refused(tmp_path: Path) -> None:
    assert "a whole number, 0 to 23" in problems_of(tmp_path, limits={"anomaly_until_hour": 24})[0]


def test_half_a_tls_set_up_is_refused(tmp_path: Path) -> None:
    assert problems_of(tmp_path, tls_cert="cert.pem") == ["tls_cert, tls_key: both or neither"]


MAIL = {"host": "smtp.example", "sender": "MyData <notices@mydata.example>"}


def test_mail_goes_over_tls_unless_told_otherwise(tmp_path: Path) -> None:
    settings = config.parse(GOOD | {"mail": MAIL | {"user": "a", "password_file": "b"}}, base=tmp_path)
    assert settings.mail is not None
    assert (settings.mail.tls, settings.mail.port, settings.mail.password_file) == ("starttls", 587, tmp_path / "b")


@pytest.mark.parametrize(
    ("mail", "problem"),
    [
        (MAIL | {"tls": "none"}, "mail.tls: none is for the sandbox"),
        (MAIL | {"tls": "ssl"}, "mail.tls: must be one of"),
        (MAIL | {"user": "a"}, "both or neither"),
        (MAIL | {"sender": "MyData"}, "mail.sender: must be an e-mail address"),
        (MAIL | {"sender": "a@b.example\r\nBcc: c@d.example"}, "mail.sender: must be a text"),
        ({"host": "smtp.example"}, "mail.sender: is missing"),
        ("smtp.example", "mail: must be a table"),
    ],
)
def test_mail_settings_that_can_t_be_are_refused(tmp_path: Path, mail: Any, problem: str) -> None:
    (told,) = problems_of(tmp_path, mail=mail)
    assert problem in told


@pytest.mark.parametrize("sandbox", [False, True])
def test_mail_without_tls_leaves_no_host_even_in_the_sandbox(tmp_path: Path, sandbox: bool) -> None:
    (told,) = problems_of(tmp_path, sandbox=sandbox, mail=MAIL | {"tls": "none"})
    assert told.startswith("mail.tls: ")


def test_an_sms_gateway_is_https(tmp_path: Path) -> None:
    (told,) = problems_of(tmp_path, sms={"url": "http://sms.example/v1", "token_file": "token"})
    assert told.startswith("sms.url: must be https")


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mydata.toml"
    path.write_text("".join(f'{name} = "{value}"\n' for name, value in GOOD.items()), encoding="utf-8")
    settings = config.load(path, {"MYDATA_ISSUER": "https://other.example", "MYDATA_WORKERS": "3"})
    assert (settings.issuer, settings.workers) == ("https://other.example", 3)


def test_a_missing_file_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no such file"):
        config.load(tmp_path / "none.toml", {})


def test_a_file_that_is_not_toml_is_a_message_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mydata.toml"
    path.write_text("issuer = ", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"mydata\.toml"):
        config.load(path, {})


def test_the_database_url_does_not_show_in_a_repr(tmp_path: Path) -> None:
    settings = config.parse(GOOD | {"database_url": "postgresql+psycopg://u:hunter2@h/d"}, base=tmp_path)
    assert "hunter2" not in repr(settings)


REGISTRY: dict[str, Any] = {"id": "registry", "url": "https://registry.example", "jwks_file": "registry.jwks.json"}


def test_a_registry_is_a_table_of_the_method_that_asks_it(tmp_path: Path) -> None:
    settings = config.parse(GOOD | {"registries": {"health_card": REGISTRY | {"timeout_s": 3}}}, base=tmp_path)
    assert settings.registries["health_card"].jwks_file == tmp_path / "registry.jwks.json"
    assert settings.registries["health_card"].timeout_s == 3


@pytest.mark.parametrize(
    ("registries", "told"),
    [
        ({"password_totp": REGISTRY}, "not a method that asks a registry"),
        ({"health_card": REGISTRY | {"colour": "blue"}}, "health_card.colour"),
        ({"health_card": {"id": "registry"}}, "registries.health_card.url: is missing"),
        ({"health_card": REGISTRY | {"timeout_s": 0}}, "health_card.timeout_s"),
        ({"health_card": REGISTRY | {"url": "http://registry.example"}}, "registries.health_card.url: must be https"),
        ({"health_card": "registry"}, "registries.health_card: must be a table"),
        ("registry", "registries"),
        (7, "registries"),
    ],
)
def test_a_registry_that_cannot_be_asked_is_told(tmp_path: Path, registries: Any, told: str) -> None:
    assert any(told in problem for problem in problems_of(tmp_path, registries=registries))


def test_a_settings_file_may_have_a_byte_order_mark_and_is_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "mydata.toml"
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in GOOD.items())
    file.write_text(text, encoding="utf-8-sig")
    assert config.load(file, environ={}).issuer == GOOD["issuer"]
    for content, told in (
        (text.encode("utf-16"), "is UTF-16; save it as UTF-8"),
        ("# 設定".encode("big5"), "is not UTF-8"),
        (b'issuer = "https://mydata.example\n', "is not TOML: Illegal character"),
        (b"workers = " + b"[" * 5000, "is nested too deeply"),
        (b"workers = " + b"1" * 5000, "has a number that can't be read"),
    ):
        file.write_bytes(content)
        with pytest.raises(SettingsError) as caught:
            config.load(file, environ={})
        assert str(caught.value).startswith(f"{file}: {told}")
    with pytest.raises(SettingsError, match="Is a directory"):
        config.load(tmp_path, environ={})
