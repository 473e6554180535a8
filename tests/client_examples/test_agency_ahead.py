"""The demo agency prepares slow data when the platform asks: once, until it may drop it, for that person alone."""

from typing import Any

import pytest

from client_examples.demo_agency.mail import Mail, PushRefused
from client_examples.demo_agency.platform import Platform, PlatformUnavailable
from client_examples.demo_agency.preparations import ASK_TYPE, DROP_TYPE, Preparations
from client_examples.demo_agency.slow import Queue
from tests.client_examples.agency_platform import ISSUER, JIA, NOW, PARAMETERS, SLOW_S, World
from tests.core.servers import say, serving

DATASET = "fia.income"
TXN = "T7K2M-9QXA-4F3C"


class Told(Mail):
    """Remembers what would be posted to the platform."""

    said: list[dict[str, Any]]

    def tell(self, path: str, said: dict[str, Any], *, typ: str, now: int) -> None:
        del path, typ, now
        self.said.append(said)


def pushed(world: World, typ: str = ASK_TYPE, **changes: Any) -> str:
    claims = {"iss": ISSUER, "aud": "fia", "iat": NOW, "exp": NOW + 50_000, "jti": "one", "txn": TXN, "sub": JIA}
    claims |= {"dataset": DATASET, "fields": [], "parameters": {"tax_year": PARAMETERS["tax_year"]}} | changes
    return world.sealed(world.signed(claims, typ=typ), "fia")


def test_what_was_prepared_is_there_at_once_for_that_person_until_it_is_dropped(world: World) -> None:
    assert world.fetch(DATASET, txn="T0000-0000-0001").status_code == 202
    mail = Told("fia", world.platform, world.keys["fia"])
    object.__setattr__(mail, "said", [])

    def sleep(seconds: float) -> None:
        world.now += int(seconds)

    desk = Preparations(world.queue, lambda: world.now, sleep)
    _, claims = mail.open(pushed(world), {ASK_TYPE})
    began = world.now
    desk.work(mail, claims)
    assert mail.said == [
        {"preparation": "one", "state": "preparing", "ready_at": began + SLOW_S},
        {"preparation": "one", "state": "ready"},
    ]
    assert world.fetch(DATASET).status_code == 200
    assert world.fetch(DATASET, txn="T0000-0000-0002").status_code == 200, "asked for again"
    assert world.fetch(DATASET, txn="T0000-0000-0003", sub="C187654325").status_code == 202, "somebody else"
    desk.take(mail, pushed(world, DROP_TYPE))
    assert world.fetch(DATASET, txn="T0000-0000-0004").status_code == 202


def test_what_is_no_request_of_the_platform_to_this_agency_is_refused(world: World) -> None:
    mail, desk = Mail("fia", world.platform, world.keys["fia"]), Preparations(Queue(0), lambda: NOW)
    for wrong in ({"typ": "at+jwt"}, {"aud": "ris"}, {"iss": "https://elsewhere.example"}):
        with pytest.raises(PushRefused):
            desk.take(mail, pushed(world, **wrong))


def test_what_the_agency_says_is_for_the_platform_and_goes_nowhere_else(world: World) -> None:
    with serving(say(b"HTTP/1.1 204 No Content\r\n\r\n")) as elsewhere:
        moved = b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % elsewhere.port
        with serving(say(moved)) as platform:
            mail = Mail("fia", Platform(f"http://127.0.0.1:{platform.port}"), world.keys["fia"])
            with pytest.raises(PlatformUnavailable, match="307"):
                mail.tell("corrections/one", {"outcome": "corrected"}, typ="mydata-correction-outcome+jwt", now=NOW)
    assert (len(platform.requests), elsewhere.requests) == (1, [])
