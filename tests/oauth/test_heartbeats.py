"""Agencies say how they are; what they say is on the pages that lead to their data, and so is that one fell silent."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from authz_server import worker
from authz_server.clients.models import AgencyState, RegistryVersion
from authz_server.core import clock, jose
from authz_server.core.identifiers import AgencyId
from authz_server.core.jose import Key
from tests.counter.office import new_office
from tests.support.platform import Platform, new_key
from tests.support.protocol import opened, refused, rows, services_of, writing

AGENCY = AgencyId("fia")


class Scene:
    """An agency that can speak."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def beat(
        self, status: str = "ok", *, key: Key | None = None, typ: str = "mydata-heartbeat+jwt", **claims: Any
    ) -> TestResponse:
        told = {"iss": AGENCY, "aud": self.platform.settings.issuer, "iat": in_s(0), "status": status} | claims
        return self.post(jose.sign(told, key or self.platform.agency_keys[AGENCY][0], typ=typ))

    def post(self, token: str, agency: str = AGENCY, content_type: str = "application/jwt") -> TestResponse:
        address = f"/agencies/{agency}/heartbeat"
        answer = self.platform.browser().post(address, data=token, content_type=content_type)
        services_of(self.platform).registry.reload()
        return answer

    def page(self, path: str) -> str:
        return self.platform.citizen().client.get(f"{path}{'&' if '?' in path else '?'}lang=en").text

    def described(self) -> dict[str, Any]:
        agencies = self.platform.browser().get("/catalogue").get_json()["agencies"]
        return dict(next(agency for agency in agencies if agency["id"] == AGENCY))

    @property
    def version(self) -> int:
        with writing(self.platform) as session:
            return session.scalars(select(RegistryVersion.version)).one()


@pytest.fixture
def scene(own_platform: Platform) -> Iterator[Scene]:
    with clock.frozen(clock.now()):
        yield Scene(own_platform)


def in_s(seconds: int) -> int:
    return int(clock.now().timestamp()) + seconds


def test_maintenance_is_on_every_page_that_leads_there_and_ends_with_the_next_word(scene: Scene) -> None:
    office = new_office(scene.platform)
    service = f"/counter/offices/{office.client_id}/childcare"
    assert "maintenance" not in scene.page("/download") + scene.page(service)
    assert scene.beat("maintenance", datasets=["fia.property"], until=in_s(3600)).status_code == 204
    assert scene.page("/download").count("Under maintenance until about") == 1
    assert "Under maintenance until about" in scene.page(service)
    assert "Not available at present" in scene.page("/download/basket?dataset=fia.property")
    bank = scene.platform.bank
    asked = bank.push(scene.platform.detail("fia.property", tax_year="113"))
    consent = opened(scene.platform.citizen(), bank, asked)
    assert "under maintenance until about" in consent.text
    assert scene.described()["maintenance"]["datasets"] == ["fia.property"]
    clock.advance(timedelta(seconds=1))
    assert scene.beat("maintenance").status_code == 204, "of all of them, nobody knows until when"
    assert scene.page("/download").count("Under maintenance") == len(scene.described()["datasets"])
    clock.advance(timedelta(seconds=1))
    assert scene.beat().status_code == 204
    assert "maintenance" not in scene.page("/download") + scene.page(service)
    assert "maintenance" not in scene.described()


def test_no_page_promises_a_moment_that_is_over(scene: Scene) -> None:
    """The agency takes longer than it thought, and says nothing of it: under maintenance, nobody knows until when."""
    scene.beat("maintenance", datasets=["fia.property"], until=in_s(3600))
    clock.advance(timedelta(seconds=3600))
    page = scene.page("/download")
    assert "until about" not in page
    assert page.count("Under maintenance: not available at present.") == 1
    assert scene.described()["maintenance"] == {"datasets": ["fia.property"], "until": None}


def test_who_falls_silent_is_said_to_be_and_who_never_spoke_is_not(scene: Scene) -> None:
    platform, limits = scene.platform, scene.platform.settings.limits
    scene.beat()
    clock.advance(timedelta(seconds=limits.agency_silence_s + 1))
    for _ in range(2):
        worker.tick(platform.engine, now=clock.now(), limits=limits)
    services_of(platform).registry.reload()
    page = scene.page("/download")
    assert page.count("no sign of life") == len(scene.described()["datasets"]), "the others never spoke"
    assert scene.page("/download/basket?dataset=fia.property").count("no sign of life") == 1
    assert "silent_since" in scene.described()
    assert "Under maintenance" not in page, "silence is no reason not to try"
    scene.beat()
    assert "no sign of life" not in scene.page("/download")


def test_a_word_that_says_nothing_new_makes_nobody_read_again_and_an_older_one_changes_nothing(scene: Scene) -> None:
    scene.beat()
    version = scene.version
    clock.advance(timedelta(seconds=60))
    scene.beat()
    assert scene.version == version
    assert scene.beat("maintenance", iat=in_s(-30)).status_code == 204
    (row,) = rows(scene.platform, AgencyState)
    assert (row.maintenance, row.heard_at, scene.version) == (False, clock.now(), version)


FORGED: dict[str, Callable[[Scene], TestResponse]] = {
    "by another key": lambda scene: scene.beat(key=new_key("ES256")),
    "by another agency": lambda scene: scene.beat(key=scene.platform.agency_keys[AgencyId("ris")][0]),
    "in its name": lambda scene: scene.beat(iss="ris"),
    "for another platform": lambda scene: scene.beat(aud="https://elsewhere.example"),
    "of another type": lambda scene: scene.beat(typ="mydata-preparation-state+jwt"),
    "old": lambda scene: scene.beat(iat=in_s(-601)),
    "to come": lambda scene: scene.beat(iat=in_s(61)),
    "at no time": lambda scene: scene.beat(iat="now"),
    "not a token": lambda scene: scene.post("ok"),
    "of nobody": lambda scene: scene.post("ok", agency="nobody"),
}


def test_only_the_agency_speaks_for_itself_and_of_its_own(scene: Scene) -> None:
    for name, tried in FORGED.items():
        assert tried(scene).status_code == 401, name
    refused(scene.post("ok", content_type="text/plain"), 400, "invalid_request")
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("down", {}),
        ("maintenance", {"datasets": ["ris.personal"]}),
        ("maintenance", {"datasets": "fia.property"}),
        ("maintenance", {"until": "soon"}),
        ("maintenance", {"until": -1}),
        ("maintenance", {"until": in_s(91 * 86400)}),
    ]
    for status, claims in wrong:
        refused(scene.beat(status, **claims), 400, "invalid_request")
    assert rows(scene.platform, AgencyState) == []


def test_a_time_may_have_a_fraction(scene: Scene) -> None:
    moment = clock.now().timestamp() - 0.5  # RFC 7519 section 2: a NumericDate, as many libraries write it
    assert scene.beat("maintenance", iat=moment, until=moment + 3600).status_code == 204
    assert scene.beat(iat=True).status_code == 401
    assert scene.beat("maintenance", until=True).status_code == 400
