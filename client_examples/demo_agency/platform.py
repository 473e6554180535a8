"""What an agency reads from the platform, all of it public: signing keys and the catalogue."""

import threading
import time
from dataclasses import dataclass
from typing import Any

import requests
from joserfc.jwk import Key, KeySet, KeySetSerialization

TIMEOUT_S = (5, 10)
REFETCH_S = 10  # an unknown kid asks the platform again, but not more often than this
CATALOGUE_S = 300


class PlatformUnavailable(Exception):
    """The platform's metadata, keys or catalogue could not be read."""


@dataclass(frozen=True)
class Dataset:
    """One dataset as the catalogue publishes it."""

    id: str
    agency_id: str
    agency_name: str  # zh, then en
    name_zh: str
    name_en: str
    field_names: dict[str, str]  # field id -> name zh
    member_names: dict[str, str]  # the same for what stands inside of fields
    level: int
    schema: dict[str, Any]


class Platform:
    """Signing keys and catalogue of one issuer, fetched when first needed and then kept."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._lock = threading.Lock()
        self._keys: dict[str, Key] = {}
        self._keys_at = float("-inf")
        self._datasets: dict[tuple[str, str], Dataset] = {}
        self._datasets_at = float("-inf")

    def signing_key(self, kid: str) -> Key | None:
        """The platform's public key of that id; a new id is looked up again, as keys are rotated."""
        with self._lock:
            if kid not in self._keys and time.monotonic() - self._keys_at > REFETCH_S:
                metadata = self._get(f"{self.issuer}/.well-known/oauth-authorization-server")
                if metadata.get("issuer") != self.issuer:  # RFC 8414 section 3.3
                    raise PlatformUnavailable("the metadata names another issuer")
                keys = KeySet.import_key_set(KeySetSerialization(keys=self._get(metadata["jwks_uri"])["keys"])).keys
                self._keys = {key.kid: key for key in keys if key.kid}
                self._keys_at = time.monotonic()
            return self._keys.get(kid)

    def dataset(self, agency_id: str, dataset_id: str) -> Dataset | None:
        """What the catalogue says of the dataset, or None if this agency has none of that name."""
        with self._lock:
            if time.monotonic() - self._datasets_at > CATALOGUE_S:
                self._datasets = parse_catalogue(self._get(f"{self.issuer}/catalogue"))
                self._datasets_at = time.monotonic()
            return self._datasets.get((agency_id, dataset_id))

    def _get(self, url: str) -> dict[str, Any]:
        try:
            answer = requests.get(url, timeout=TIMEOUT_S, allow_redirects=False)
            answer.raise_for_status()
            document = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise PlatformUnavailable(f"{url}: {error}") from error
        if answer.status_code != 200 or not isinstance(document, dict):
            raise PlatformUnavailable(f"{url}: not a JSON object")
        return document


def parse_catalogue(document: dict[str, Any]) -> dict[tuple[str, str], Dataset]:
    """Turn the JSON of GET /catalogue into datasets by (agency id, dataset id)."""
    return {
        (agency["id"], dataset["id"]): Dataset(
            id=dataset["id"],
            agency_id=agency["id"],
            agency_name=f"{agency['name']['zh']} {agency['name']['en']}",
            name_zh=dataset["name"]["zh"],
            name_en=dataset["name"]["en"],
            field_names={field["id"]: field["name"]["zh"] for field in dataset["fields"]},
            member_names={member: name["zh"] for member, name in dataset["members"].items()},
            level=dataset["level"],
            schema=dataset["schema"],
        )
        for agency in document["agencies"]
        for dataset in agency["datasets"]
    }
