"""`mydata figures`: what the operator sees of how clients are received. No personal data is in it.

`mydata verify`: whether a receipt or an exported record is genuine; for anybody, without settings and database.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import orjson

from authz_server import config
from authz_server.consent.figures import COUNTED, Figures, Span
from authz_server.consent.figures import figures as count
from authz_server.core import clock, documents, jose, outbound_http, packages
from authz_server.core.documents import Cause, Genuine, NotGenuine
from authz_server.core.jose import BadKey, KeySet
from authz_server.core.packages import Package, agencies_of
from authz_server.core.settings import LOOPBACK
from authz_server.database import session_for

DAY = click.DateTime(["%Y-%m-%d"])
DAYS_SHOWN = 30
COUNTABLE = range(2000, 3000)  # years, within which the days before and after are days as well


@click.command()
@click.option("--from", "first", type=DAY, help=f"First day, in Taiwan; {DAYS_SHOWN} days to the last by default.")
@click.option("--to", "last", type=DAY, help="Last day; today by default.")
@click.option("--by", type=click.Choice(["day", "month", "all"]), default="all", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs, one object per client and period.")
def figures(first: datetime | None, last: datetime | None, by: Span, as_json: bool) -> None:
    """Count decisions and anomalies, per client and period."""
    end = last.date() if last else clock.day_of(clock.now())
    begin = first.date() if first else date.fromordinal(max(1, end.toordinal() - DAYS_SHOWN + 1))
    if begin > end:
        raise click.BadParameter("the first day comes after the last")
    if begin.year not in COUNTABLE or end.year not in COUNTABLE:
        raise click.BadParameter(f"a day is of the years {COUNTABLE[0]} to {COUNTABLE[-1]}")
    with session_for(config.load()) as session:
        found = count(session, first=begin, last=end, by=by)
    click.echo(_json(found) if as_json else _table(found))


def _json(found: Sequence[Figures]) -> str:
    rows = [
        {"first": each.first, "last": each.last, "client_id": each.client_id}
        | {name: each.counts[name] for name in COUNTED}
        for each in found
    ]
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode()


def _table(found: Sequence[Figures]) -> str:
    rows = [("first day", "last day", "client", *(name.replace("_", " ") for name in COUNTED))]
    for each in found:
        rows.append((str(each.first), str(each.last), each.client_id, *(str(each.counts[name]) for name in COUNTED)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    # Words to the left, numbers to the right.
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < 3 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


WRONG: Mapping[Cause, str] = {
    "form": "it is no receipt, record or package as they are downloaded, or a part of it is missing",
    "key": "it is signed with a key that is not published by its platform, or for its agency",
    "signature": "its signature is wrong: it was changed, or not signed by that key",
    "text": "what is there to read, or the files in it, is not what was signed",
    "issuer": "it is signed for another platform",
}
NOT_GENUINE, UNDECIDED = 1, 2


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The published keys, a file: what <issuer>/jwks answered, or, for packages, <issuer>/catalogue. Nothing is "
    "asked of any network then.",
)
@click.option("--issuer", help="URL of the platform, which has to be the signer; without --keys its keys are fetched.")
def verify(files: Sequence[Path], keys: Path | None, issuer: str | None) -> None:
    """Verify receipts (JSON or PDF), exported records (JSON) and downloaded packages (ZIP) with the published keys of
    the platform, or of its agencies.

    Every bit counts. Says what was verified, and by whose signature. Needs no settings, database or server.

    Exit status: 0 intact; 1 not; 2 can't be judged, because the file or the keys could not be read, or the key is
    not among those in the file of keys, which may be older than the signature. Of several files the worst counts, 1.
    """
    if keys is None and issuer is None:
        raise click.UsageError("give --keys FILE or --issuer URL: whose keys they are a file can't say of itself")
    try:
        known = _keys(keys, issuer or "", packages=any(map(_is_package, files)))
    except (OSError, ValueError, BadKey, outbound_http.FetchError) as error:
        click.echo(f"cannot be judged: the keys: {_why(error, issuer)}", err=True)
        sys.exit(UNDECIDED)
    found = {_verify(file, known, keys, issuer.rstrip("/") if issuer else None) for file in files}
    sys.exit(next(status for status in (NOT_GENUINE, UNDECIDED, 0) if status in found))


def _why(error: Exception, issuer: str | None) -> str:
    """What is wrong with the keys, for people."""
    if isinstance(error, outbound_http.FetchFailed):
        return f"they can't be fetched from {issuer} ({error.detail})"
    if isinstance(error, orjson.JSONDecodeError):
        return "they are not JSON"
    return error.strerror or "they can't be read" if isinstance(error, OSError) else str(error)


@dataclass(frozen=True)
class Known:
    """The published keys: the platform's, and those of its agencies, None where they were not to be had."""

    platform: KeySet
    agencies: Mapping[str, KeySet] | None


def _is_package(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return packages.is_package(opened.read(len(packages.MAGIC)))
    except OSError:
        return False


def _verify(file: Path, known: Known, keys: Path | None, issuer: str | None) -> int:
    """Say what one file is; return its status."""
    try:
        with file.open("rb") as opened:
            octets = opened.read(documents.MAX_BYTES + 1)
    except OSError as error:
        return _told(file, UNDECIDED, error.strerror or type(error).__name__)
    if len(octets) > documents.MAX_BYTES:
        return _told(file, UNDECIDED, f"it is larger than {documents.MAX_BYTES // 1024 // 1024} MB")
    try:
        if not packages.is_package(octets):
            lines = _verdict(documents.verify(octets, known.platform, issuer=issuer))
        elif known.agencies is None:
            return _told(
                file, UNDECIDED, f"a package needs the keys of agencies, what <issuer>/catalogue says, not {keys}"
            )
        else:
            lines = _of_package(packages.verify(octets, known.agencies))
    except NotGenuine as wrong:
        if keys is not None and wrong.cause == "key":
            why = f"it is signed with a key that is not in {keys}; if that is old, get the keys of now"
            return _told(file, UNDECIDED, why)
        return _told(file, NOT_GENUINE, WRONG[wrong.cause])
    click.echo(f"{file}: " + "\n".join(lines))
    return 0


def _told(file: Path, status: int, why: str) -> int:
    click.echo(f"{file}: {'not intact' if status == NOT_GENUINE else 'cannot be judged'}: {why}", err=True)
    return status


def _keys(file: Path | None, issuer: str, *, packages: bool) -> Known:
    """The keys in the file, else those that the issuer publishes, by https unless it is this machine.

    Args: packages: those of the agencies are wanted, too.
    """
    if file is not None:
        document = orjson.loads(file.read_bytes())
        if isinstance(document, dict) and "agencies" in document:
            return Known(KeySet([]), agencies_of(document))
        return Known(jose.parse_public_keys(document), None)
    parts = urlsplit(issuer)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise outbound_http.FetchRefused("an issuer is an https URL")
    # The user names the host, nobody else: it may be one of a network of their own.
    allowed = frozenset({outbound_http.authority(issuer)})

    def published(path: str) -> Any:
        return orjson.loads(
            outbound_http.fetch(issuer.rstrip("/") + path, allowed_hosts=allowed, max_bytes=documents.MAX_BYTES)
        )

    return Known(jose.parse_public_keys(published("/jwks")), agencies_of(published("/catalogue")) if packages else None)


def _of_package(package: Package) -> Iterator[str]:
    yield "intact: package of an agency"
    facts = {name: package.manifest.get(name) for name in ("dataset", "fields", "parameters", "aud", "txn", "files")}
    names = [str(file.get("name")) for file in package.manifest["files"]]
    for name, value in (
        ("data", facts["dataset"]),
        ("parameters", ", ".join(f"{key} {value}" for key, value in dict(facts["parameters"] or {}).items())),
        ("files", ", ".join(names)),
        ("recipient", facts["aud"]),
        ("reference", facts["txn"]),
        ("signed by", package.agency_id),
        ("signed at", package.signed_at.isoformat()),
        ("key", package.kid),
    ):
        if value:
            yield f"  {name:10} {value}"


def _verdict(genuine: Genuine) -> Iterator[str]:
    said, facts = {
        "receipt": ("receipt of a consent", _of_receipt),
        "record": ("record of one citizen, or a part of it", _of_record),
        "pdf": ("receipt of a consent, as PDF; what is to be read in it is what was signed", _of_pdf),
    }[genuine.kind]
    yield f"intact: {said}"
    for name, value in (
        *facts(genuine.claims),
        ("signed by", genuine.issuer),
        ("signed at", genuine.signed_at.isoformat()),
        ("key", genuine.kid),
    ):
        yield f"  {name:10} {value}"


def _of_receipt(claims: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    (purpose,) = claims["pii_processing"]["purposes"]
    yield "reference", claims["receipt_id"]
    yield "recipient", claims["party_identification"][0]["party_name"]
    yield "data", ", ".join(item["dataset"] for item in purpose["datasets"]) or "none"
    for event in claims["event"]:
        yield event["event_state"], event["event_time"]


def _of_record(claims: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "entries", str(len(claims["entries"]))
    yield "receipts", str(len(claims["receipts"]))
    if claims["entries"]:
        yield "newest", claims["entries"][0]["at"]
        yield "oldest", claims["entries"][-1]["at"]


def _of_pdf(claims: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "reference", claims["receipt_id"]
