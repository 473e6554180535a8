"""The documents with which clients and agencies are registered (TOML files, `mydata client add FILE`).

A client that asks for data:

    client_id = "jia-bank"                       # small letters, digits, hyphens
    profile = "fapi2"                            # the default; resource_server needs client_id and keys only
    registered_id = "00000000"                   # its number in a public register
    contact_phone = "02-0000-0000"
    contact_email = "privacy@jia-bank.example"
    privacy_url = "https://jia-bank.example/privacy"
    redirect_uris = ["https://jia-bank.example/callback"]
    security_event_endpoint = "https://jia-bank.example/events"   # if it is to be told of ended consents (RFC 8935)
                                                 # and asked to erase there; else it is asked at contact_email
    jwks_uri = "https://jia-bank.example/jwks"   # or jwks_file = "jwks.json" beside this file, or a table [jwks]

    [name]
    zh = "甲銀行"
    en = "Jia Bank"

    [purposes.loan-application]                  # the purpose's id
    use_until_days = 30                          # counted from the day the citizen is asked
    erase_by_days = 90
    text = { zh = "審核您的信用貸款申請", en = "To decide on your loan application" }
    passed_on_to = [{ zh = "財團法人金融聯合徵信中心", en = "Joint Credit Information Center" }]

    [purposes.loan-application.datasets."fia.income"]
    fields_required = ["name", "national_id", "tax_year", "total_income"]
    fields_optional = ["payers"]
    justification = { zh = "核對您的還款能力", en = "To see what you can pay back" }   # if the purpose does not say it
    parameters.tax_year = { last = 3 }           # see clients.ranges for every form

    [counters.desk-3]                            # where citizens may bring a barcode; whoever has one is an office
    name = { zh = "3 號櫃檯", en = "Counter 3" }
    address = { zh = "桃園市桃園區縣府路 7 號", en = "7 Xianfu Rd., Taoyuan Dist., Taoyuan City" }

Above the tables an office may say: with `named_clerks = false` its clerks need not sign in by name, and citizens then
see the counter alone. With `desk_may = ["print", "save"]`, or one of the two, its desks may print what a citizen has
handed in, or keep a copy; without it they do neither. Each consent says which.

The keys (RFC 7517, public members only) have at least one for signatures (client assertions); one of use `enc` is what
packages are encrypted to, unless a request brings its own. Whatever the catalogue calls required must be among
`fields_required`; a dataset without any required field is optional as a whole, and then lists them as optional.

An agency:

    id = "fia"                                   # as in the catalogue
    connector = "jose"                           # or plain: our connector holds the keys and signs in its name
    correction_endpoint = "https://fia.example/corrections"   # if it takes requests to correct; jose only
    preparation_endpoint = "https://fia.example/preparations" # if it prepares what is slow, when asked; jose only
    jwks_file = "jwks.json"                      # or a table [jwks]; at least one key of use sig and one of use enc
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any, cast, get_args

from authz_server.catalogue.document import Problem, Table
from authz_server.catalogue.model import Catalogue, Text
from authz_server.clients import keys, uris
from authz_server.clients.model import COPYING, Client, Connector, Counter, Purpose, RegisteredAgency
from authz_server.clients.policy import POLICIES
from authz_server.clients.purposes import read_purpose
from authz_server.core.errors import DomainError
from authz_server.core.identifiers import AgencyId, ClientId
from authz_server.core.jose import SIGNING, BadKey, KeySet, parse_public_keys, public_jwks

CLIENT_ID = re.compile(r"[a-z0-9][a-z0-9-]{1,62}[a-z0-9]")
_REGISTERED_ID = re.compile(r"[0-9A-Za-z-]{1,40}")
_PHONE = re.compile(r"\+?[0-9][0-9 ()#-]{2,38}")
_EMAIL = re.compile(r"[\x21-\x3f\x41-\x7e]+@[A-Za-z0-9.-]+")
_MOST_REDIRECT_URIS = 20
_MOST_PURPOSES = 50
_COUNTER_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_MOST_COUNTERS = 200
SIGNING_KEYS = f"use sig; alg, if it has one, {', '.join(SIGNING)}"
# Where an agency is told what is sealed to it.
AGENCY_ENDPOINTS = ("correction_endpoint", "preparation_endpoint")


class RegistrationError(DomainError):
    """A document can't be registered; `problems` lists every reason with the place in the document."""

    code = "invalid_client_metadata"  # RFC 7591 section 3.2.2
    public = "The registration is not valid."

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True)
class Context:
    """What a document is judged by. `sandbox`: http is fine on loopback."""

    catalogue: Catalogue
    sandbox: bool = False


def read_client(
    document: Mapping[str, Any], context: Context, *, registered_on: date, suspended: bool = False
) -> Client:
    """The client that a document describes.  Raises: RegistrationError."""
    problems: list[Problem] = []
    table = Table(document, problems)
    if "client_id" not in table and "connector" in table:
        raise RegistrationError([Problem((), "describes an agency: mydata agency add")])
    policy = POLICIES.get(table.one_of("profile", tuple(POLICIES), default="fapi2"), POLICIES["fapi2"])
    client_id = table.text("client_id", pattern=CLIENT_ID, shape="3 to 64 small letters, digits and hyphens")
    read = _read_full if policy.may_ask_for_datasets else _read_resource_server
    rest = read(table, context)
    jwks, jwks_uri = _read_keys(table, context)
    if jwks is not None and not keys.signing_keys(jwks):
        table.note(f"has no key for the client's assertions ({SIGNING_KEYS})", "jwks")
    table.done()
    if problems:
        raise RegistrationError(problems)
    return Client(
        client_id=ClientId(client_id),
        policy=policy,
        jwks=jwks,
        jwks_uri=jwks_uri,
        registered_on=registered_on,
        suspended=suspended,
        **rest,
    )


def read_agency(document: Mapping[str, Any], context: Context, *, suspended: bool = False) -> RegisteredAgency:
    """The agency that a document describes.  Raises: RegistrationError."""
    problems: list[Problem] = []
    table = Table(document, problems)
    if "client_id" in table:
        raise RegistrationError([Problem((), "describes a client: mydata client add")])
    agency_id = table.text("id")
    if agency_id and context.catalogue.find_agency(agency_id) is None:
        table.note("is not in the catalogue", "id")
    connector = table.one_of("connector", get_args(Connector))
    jwks = _read_jwks(table)
    encryption_key = keys.encryption_key(jwks) if jwks else None
    signing = [key for key in keys.signing_keys(jwks) if key.use == "sig"] if jwks else []
    if jwks and encryption_key is None:
        table.note("has no key of use enc, EC P-256 or RSA, to encrypt tickets to", "jwks")
    if jwks and not signing:
        table.note(f"has no key of use sig, with which packages are signed ({SIGNING_KEYS})", "jwks")
    endpoints = {name: _read_url(table, name, context) if name in table else None for name in AGENCY_ENDPOINTS}
    for name, endpoint in endpoints.items():
        if endpoint and connector != "jose":
            table.note("is for agencies that open what is encrypted to them", name)
    table.done()
    if problems or encryption_key is None:
        raise RegistrationError(problems)
    return RegisteredAgency(
        id=AgencyId(agency_id),
        connector=cast(Connector, connector),
        encryption_key=encryption_key,
        signing_jwks=public_jwks(KeySet(signing)),
        suspended=suspended,
        **endpoints,
    )


def _read_full(table: Table, context: Context) -> dict[str, Any]:
    """What people are shown of a client, and what it may do with them."""
    redirect_uris = table.texts("redirect_uris", most=_MOST_REDIRECT_URIS, longest=uris.LONGEST)
    if table.raw("redirect_uris") in (None, []):
        table.note("names no URI", "redirect_uris")
    for index, uri in enumerate(redirect_uris):
        if problem := uris.redirect_uri_problem(uri, sandbox=context.sandbox):
            table.note(problem, "redirect_uris", index)
    return {
        "name": table.localized("name", longest=100),
        "registered_id": table.text("registered_id", pattern=_REGISTERED_ID, shape="letters, digits and hyphens"),
        "contact_phone": table.text("contact_phone", pattern=_PHONE, shape="a telephone number"),
        "contact_email": table.text("contact_email", pattern=_EMAIL, shape="an e-mail address", longest=254),
        "privacy_url": _read_url(table, "privacy_url", context),
        "redirect_uris": redirect_uris,
        "security_event_endpoint": (
            _read_url(table, "security_event_endpoint", context) if "security_event_endpoint" in table else None
        ),
        "purposes": _read_purposes(table, context),
        "counters": _read_counters(table),
        "named_clerks": table.boolean("named_clerks", default=True),
        "desk_may": _read_desk_may(table),
    }


def _read_resource_server(table: Table, _context: Context) -> dict[str, Any]:
    """A resource server is a part of the platform: pages call it that, and it asks nobody for anything."""
    client_id = str(table.raw("client_id"))
    return {
        "name": table.localized("name", longest=100) if "name" in table else Text(zh=client_id, en=client_id),
        "registered_id": "",
        "contact_phone": "",
        "contact_email": "",
        "privacy_url": "",
        "redirect_uris": (),
        "security_event_endpoint": None,
        "purposes": MappingProxyType({}),
    }


def _read_purposes(table: Table, context: Context) -> Mapping[str, Purpose]:
    purposes = table.table("purposes", optional=True)
    if purposes is None:
        return {}
    read = {name: read_purpose(name, purpose, context.catalogue) for name, purpose in purposes.items()}
    if len(read) > _MOST_PURPOSES:
        purposes.note(f"has more than {_MOST_PURPOSES} purposes")
    return MappingProxyType(read)


def _read_counters(table: Table) -> Mapping[str, Counter]:
    counters = table.table("counters", optional=True)
    read: dict[str, Counter] = {}
    for name, counter in counters.items() if counters else ():
        if not _COUNTER_ID.fullmatch(name):
            counter.note("a counter's id is small letters, digits and hyphens")
        read[name] = Counter(id=name, name=counter.localized("name", longest=60), address=counter.localized("address"))
        counter.done()
    if counters and len(read) > _MOST_COUNTERS:
        counters.note(f"has more than {_MOST_COUNTERS} counters")
    return MappingProxyType(read)


def _read_desk_may(table: Table) -> tuple[str, ...]:
    actions = table.texts("desk_may", most=len(COPYING))
    if any(action not in COPYING for action in actions):
        table.note(f"must be of {', '.join(COPYING)}", "desk_may")
    if actions and "counters" not in table:
        table.note("is for offices, which have counters", "desk_may")
    return tuple(action for action in COPYING if action in actions)


def _read_keys(table: Table, context: Context) -> tuple[KeySet | None, str | None]:
    if "jwks" in table and "jwks_uri" in table:
        table.note("jwks or jwks_uri, not both", "jwks_uri")
        table.raw("jwks")
    if "jwks_uri" in table:
        return None, _read_url(table, "jwks_uri", context)
    return _read_jwks(table), None


def _read_jwks(table: Table) -> KeySet | None:
    jwks = table.raw("jwks")
    if "jwks" not in table:
        table.note("is missing", "jwks")
        return None
    try:
        return parse_public_keys(jwks)
    except BadKey as error:
        table.note(error.detail, "jwks")
        return None


def _read_url(table: Table, key: str, context: Context) -> str:
    url = table.text(key, longest=uris.LONGEST)
    if url and (problem := uris.url_problem(url, sandbox=context.sandbox)):
        table.note(problem, key)
    return url
