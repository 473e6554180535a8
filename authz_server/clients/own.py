"""The platform's own client: the citizen's browser, which receives what the citizen downloads.

Its row is made by the migrations, for consents, codes and tokens point at it, and so that the operator can suspend it.
Nobody registers it, it has no key, and its policy has no way to authenticate and no grant: at /par and /token it does
not exist. `consent.download` opens its requests, and `tokens.redemption` redeems its codes, for the citizen's session.
"""

from datetime import date
from types import MappingProxyType
from typing import Final

from authz_server.catalogue.model import Catalogue, Text
from authz_server.clients.model import Client, Purpose, PurposeDataset
from authz_server.clients.policy import Policy
from authz_server.core.identifiers import ClientId
from authz_server.core.jose import KeySet

CLIENT_ID: Final = ClientId("mydata-download")
PURPOSE_ID: Final = "download"
PROFILE: Final = "own"
POLICY: Final = Policy(
    profile=PROFILE,
    token_endpoint_auth_methods=(),
    signing_algorithms=(),
    grant_types=(),
    pushed_requests=False,
    may_ask_for_datasets=True,
    may_introspect=False,
)
NAME: Final = Text(zh="您自己的瀏覽器", en="Your own browser")
_WITHIN: Final = {NAME.en: "your own browser"}
PURPOSE: Final = Text(zh="下載自己的資料，由您自己保存。", en="To download your own data and keep it yourself.")


def download_client(catalogue: Catalogue, *, registered_on: date, suspended: bool) -> Client:
    """The client: every dataset of the catalogue, whole, for the one purpose of having it oneself."""
    datasets = {
        dataset.id: PurposeDataset(
            fields_required=frozenset(dataset.field_ids), fields_optional=frozenset(), parameters={}
        )
        for agency in catalogue
        for dataset in agency.datasets
    }
    purpose = Purpose(
        id=PURPOSE_ID,
        text=PURPOSE,
        datasets=MappingProxyType(datasets),
        use_until_days=None,
        erase_by_days=None,
        passed_on_to=(),
    )
    return Client(
        client_id=CLIENT_ID,
        name=NAME,
        registered_id="",
        registered_on=registered_on,
        contact_phone="",
        contact_email="",
        privacy_url="",
        redirect_uris=(),
        purposes=MappingProxyType({PURPOSE_ID: purpose}),
        policy=POLICY,
        jwks=KeySet([]),
        jwks_uri=None,
        security_event_endpoint=None,
        suspended=suspended,
    )


def name_within(sentence: str, place: str, name: str) -> str:
    """A client's name as a sentence has it in its `place`: ours is no proper noun, so its capital is lost within."""
    return name if sentence.startswith(place) else _WITHIN.get(name, name)
