"""A client of the sandbox's own: it asks for a dataset of every kind, and tries each token a second time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests

from client_examples.bank_web.client import Client, Fetch, dpop_proof
from client_examples.bank_web.client import Journey as Request

from .browser import patient
from .settings import new_key

CLIENT_ID = "sandbox-checker"
PURPOSE = "checking"
TIMEOUT_S = 90
MOST_WAITING_S = 60

# One dataset of every kind, with required fields, optional fields and parameters.
WANTED: tuple[tuple[str, tuple[str, ...], tuple[str, ...], dict[str, str]], ...] = (
    ("ris.personal", ("name", "national_id"), ("registered_address", "birth_place"), {}),
    ("ris.id-card-image", ("name", "national_id", "issued_at", "scan"), (), {}),
    (
        "fia.income",
        ("name", "national_id", "tax_year", "salary_income"),
        (),
        {"tax_year": str(date.today().year - 1912)},
    ),
    ("bli.pension", ("name", "national_id", "state"), (), {}),
    ("nhi.enrolment", ("name", "national_id", "unit_name"), (), {"period": "2025-01/2025-06"}),
)
RANGES: dict[str, dict[str, int]] = {"tax_year": {"last": 5}, "period": {"months": 12}}
TICKED = "registered_address"
UNTICKED = "birth_place"
LARGE = "ris.id-card-image"
SLOW = "fia.income"
WITHOUT_RECORD = "bli.pension"


@dataclass
class Got:
    """How the fetch of one dataset went."""

    dataset: str
    fields: tuple[str, ...]
    token: str = field(repr=False)
    url: str
    status: str = "waiting"
    was_preparing: bool = False
    data: dict[str, Any] = field(default_factory=dict, repr=False)
    size_bytes: int = 0

    @property
    def expected_again(self) -> int:
        """What a second use has to be answered: refused, but "no record" did not use the token up."""
        return 404 if self.status == "no-record" else 401


class Checker:
    """The client, with keys that it makes for itself; `registration` is what the operator needs to know of it."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.redirect_uri = "http://127.0.0.1:9/callback"  # nobody listens: the browser stops before it
        self.keys = new_key("sig"), new_key("enc")
        self.client = Client(issuer, CLIENT_ID, self.redirect_uri, self.keys)
        self.client.http.mount("http://", patient())

    def registration(self) -> dict[str, Any]:
        """The document of `mydata client add`."""
        datasets = {
            dataset: {
                "fields_required": required,
                "fields_optional": optional,
                "parameters": {name: RANGES[name] for name in parameters},
            }
            for dataset, required, optional, parameters in WANTED
        }
        return {
            "client_id": CLIENT_ID,
            "profile": "fapi2",
            "name": {"zh": "沙盒檢查員", "en": "Sandbox Checker"},
            "registered_id": "00000000",
            "contact_phone": "0800-000-000",
            "contact_email": "checker@example.org",
            "privacy_url": "https://checker.example.org/privacy",
            "redirect_uris": [self.redirect_uri],
            "jwks": {"keys": [key.as_dict(private=False) for key in self.keys]},
            "purposes": {
                PURPOSE: {
                    "text": {"zh": "檢查沙盒是否遵守承諾", "en": "Check that the sandbox keeps its promises"},
                    "use_until_days": 1,
                    "erase_by_days": 1,
                    "datasets": datasets,
                }
            },
        }

    def names(self) -> dict[str, str]:
        """What the catalogue calls each dataset in English."""
        agencies = requests.get(f"{self.issuer}/catalogue", timeout=TIMEOUT_S).json()["agencies"]
        return {dataset["id"]: dataset["name"]["en"] for agency in agencies for dataset in agency["datasets"]}

    def ask(self, *datasets: str, locale: str = "zh-TW", **more: str) -> tuple[Request, str]:
        """Push a request for these of WANTED, or all; return it and the address to send the citizen to.

        `more` are parameters of the request besides.
        """
        details = [
            {
                "type": "dataset",
                "dataset": dataset,
                "purpose": PURPOSE,
                "fields_required": list(required),
                "fields_optional": list(optional),
                "parameters": parameters,
            }
            for dataset, required, optional, parameters in WANTED
            if not datasets or dataset in datasets
        ]
        return self.client.start(details, locale, **more)

    def take_answer(self, request: Request, address: str) -> dict[str, Any]:
        """Take what the citizen's browser brought back, and get the tokens; the id_token's claims."""
        return self.client.finish(request, dict(parse_qsl(urlsplit(address).query)))

    def fetch_all(self, request: Request, say: Callable[[str], None]) -> list[Got]:
        """Fetch every granted dataset to its end, waiting as long as the platform asks to, but not for ever."""
        return [self._fetch(request, fetch, say) for fetch in request.fetches]

    def granted(self, fetch: Fetch) -> Got:
        """What a granted dataset is fetched with."""
        grant = fetch.grant
        return Got(grant["dataset"], tuple(grant["fields"]), grant["access_token"], grant["locations"][0])

    def try_again(self, request: Request, got: Got) -> int:
        """Use the token once more, with a fresh proof; return the status of the answer."""
        proof = dpop_proof(request.dpop_key, "GET", got.url, access_token=got.token)
        headers = {"Authorization": f"DPoP {got.token}", "DPoP": proof}
        return requests.get(got.url, headers=headers, timeout=TIMEOUT_S).status_code

    def _fetch(self, request: Request, fetch: Fetch, say: Callable[[str], None]) -> Got:
        got = self.granted(fetch)
        deadline = time.monotonic() + MOST_WAITING_S
        self.client.fetch(request, fetch)
        while fetch.status in {"waiting", "preparing"} and time.monotonic() < deadline:
            say(f"{got.dataset}: {fetch.status}, again in {fetch.wait_s} s")
            got.was_preparing |= fetch.status == "preparing"
            time.sleep(fetch.wait_s)
            self.client.fetch(request, fetch)
        got.status = fetch.status
        if fetch.package is not None:
            got.data = fetch.package.data
            got.size_bytes = sum(map(len, fetch.package.files.values()))
        say(f"{got.dataset}: {got.status}, {got.size_bytes} bytes")
        return got
