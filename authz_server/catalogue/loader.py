"""Reads the data files into a `Catalogue`, or says everything that is wrong with them, by file and line.

One folder per agency: `<agency>/agency.toml`, and per dataset `<agency>/<dataset>.toml` with its
`<agency>/<dataset>.schema.json`. The dataset's id, and scope, is `<agency>.<dataset>`. `members.toml` names what stands
inside of fields, for all.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from authz_server.catalogue.document import Problem, Table
from authz_server.catalogue.model import Agency, Catalogue, Dataset, Field, Parameter, Sensitivity, Text
from authz_server.catalogue.parameters import ParameterKind
from authz_server.catalogue.toml_lines import line_numbers, line_of
from authz_server.core import text_file, toml_file
from authz_server.core.errors import DomainError
from authz_server.core.identifiers import AgencyId, DatasetId

T = TypeVar("T")

DEFAULT_DIRECTORY = Path(__file__).parent
MEMBERS = "members.toml"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
FORMATS = ("json", "pdf", "png")
_AGENCY_ID = re.compile(r"[a-z]{2,20}")
_DATASET_NAME = re.compile(r"[a-z][a-z0-9-]{1,39}")
_MEMBER_ID = re.compile(r"[a-z][a-z0-9_]{0,39}")
_WEB_ADDRESS = re.compile(r"https://[A-Za-z0-9.-]+(/[\x21-\x7e]*)?")
_PHONE = re.compile(r"[0-9+#-]{3,20}")
_WEEK_S = 7 * 24 * 3600


class CatalogueError(DomainError):
    """The catalogue can't be used. `problems` has a line each: `file:line: what is wrong`."""

    code = "catalogue_invalid"
    public = "The catalogue of datasets is not valid."

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@cache
def load() -> Catalogue:
    """The catalogue that comes with this package: read once in a process, and not again by those that it forks.

    Raises: CatalogueError, as `read` does.
    """
    return read(DEFAULT_DIRECTORY)


def read(directory: Path) -> Catalogue:
    """Read all agencies below a directory.  Raises: CatalogueError, which lists every problem of every file."""
    problems: list[str] = []
    folders = sorted(path for path in directory.iterdir() if path.is_dir() and any(path.glob("*.toml")))
    words = _read(directory / MEMBERS, _words, problems) or {}
    agencies = [agency for folder in folders if (agency := _agency(folder, words, problems)) is not None]
    if not folders:
        problems.append(f"{directory}:1: has no folder of an agency")
    if problems:
        raise CatalogueError(problems)
    return Catalogue(agencies=tuple(agencies), version=_version(directory, folders))


def _version(directory: Path, folders: list[Path]) -> str:
    digest = hashlib.sha256()
    in_folders = (path for folder in folders for path in folder.iterdir() if path.suffix in {".toml", ".json"})
    for path in sorted([directory / MEMBERS, *in_folders]):
        digest.update(f"{path.relative_to(directory).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _words(table: Table) -> Mapping[str, Text]:
    return {name: item.as_text() for name, item in table.items()}


def _agency(folder: Path, words: Mapping[str, Text], problems: list[str]) -> Agency | None:
    paths = sorted(path for path in folder.glob("*.toml") if path.name != "agency.toml")
    datasets = tuple(dataset for path in paths if (dataset := _dataset(path, words, problems)) is not None)
    if not paths:
        problems.append(f"{folder / 'agency.toml'}:1: the agency has no dataset")
    for path in sorted(folder.glob("*.schema.json")):
        if not path.with_name(path.name.replace(".schema.json", ".toml")).exists():
            problems.append(f"{path}:1: is the schema of no dataset")

    def read(table: Table) -> Agency:
        if table.text("id", pattern=_AGENCY_ID, shape="2 to 20 small letters") != folder.name:
            table.note(f"must be the name of the folder, {folder.name}", "id")
        return Agency(
            id=AgencyId(folder.name),
            name=table.localized("name"),
            phone=table.text("phone", pattern=_PHONE, shape="a telephone number"),
            url=table.text("url", pattern=_WEB_ADDRESS, shape="an https address"),
            datasets=datasets,
        )

    return _read(folder / "agency.toml", read, problems)


def _dataset(path: Path, words: Mapping[str, Text], problems: list[str]) -> Dataset | None:
    dataset_id = f"{path.parent.name}.{path.stem}"
    schema_path = path.with_suffix(".schema.json")
    schema = _schema(schema_path, problems)

    def read(table: Table) -> Dataset:
        if not _DATASET_NAME.fullmatch(path.stem):
            table.note("the file's name must be small letters, digits and hyphens")
        if table.text("id") != dataset_id:
            table.note(f"must be {dataset_id}, after folder and file", "id")
        dataset = Dataset(
            id=DatasetId(dataset_id),
            agency_id=AgencyId(path.parent.name),
            name=table.localized("name"),
            description=table.localized("description", longest=500),
            level=table.whole("level", 1, 4),
            typical_wait_s=table.whole("typical_wait_s", 0, _WEEK_S, default=0),
            preparing_limit_s=table.whole("preparing_limit_s", 60, _WEEK_S, default=600),
            large=table.boolean("large", default=False),
            formats=table.texts("formats", most=len(FORMATS)),
            parameters=tuple(_parameter(item) for item in table.tables("parameters")),
            fields=tuple(_field(item) for item in table.tables("fields")),
            members={name: words[name] for name in _members(schema) if name in words},
            schema=schema or {},
        )
        _check_dataset(dataset, table)
        if schema is not None:
            _check_schema_fits(dataset, schema_path, table, problems)
        return dataset

    return _read(path, read, problems)


def _parameter(table: Table) -> Parameter:
    parameter = Parameter(
        id=table.text("id", pattern=_MEMBER_ID, shape="small letters, digits and underscores"),
        type=cast(ParameterKind, table.one_of("type", get_args(ParameterKind))),
        name=table.localized("name"),
        required=table.boolean("required"),
    )
    table.done()
    return parameter


def _field(table: Table) -> Field:
    field = Field(
        id=table.text("id", pattern=_MEMBER_ID, shape="small letters, digits and underscores"),
        name=table.localized("name"),
        description=table.localized("description", longest=500),
        required=table.boolean("required", default=False),
        sensitivity=cast(Sensitivity, table.one_of("sensitivity", get_args(Sensitivity), default="normal")),
    )
    table.done()
    return field


def _check_dataset(dataset: Dataset, table: Table) -> None:
    """What no single value shows."""
    if not dataset.fields:
        table.note("the dataset has no field", "fields")
    if dataset.fields and not dataset.required_fields:
        table.note("no field is required: nothing would say whose record it is", "fields")
    for kind, ids in (("fields", dataset.field_ids), ("parameters", tuple(item.id for item in dataset.parameters))):
        for index, member_id in enumerate(ids):
            if member_id in ids[:index]:
                table.note("is there twice", kind, index, "id")
    if not {"json", "pdf"} <= set(dataset.formats) <= set(FORMATS):
        table.note(f"must have json and pdf, and nothing else than {', '.join(FORMATS)}", "formats")


def _schema(path: Path, problems: list[str]) -> dict[str, Any] | None:
    try:
        schema = json.loads(text_file.read(path))
    except OSError as error:
        problems.append(f"{path}:1: {error.strerror}")
    except text_file.NotText as error:
        problems.append(f"{path}:1: {error}")
    except json.JSONDecodeError as error:
        problems.append(f"{path}:{error.lineno}: {error.msg}")
    else:
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            problems.append(f"{path}:{_line_of_member(path, error.path)}: {error.message}")
        else:
            if isinstance(schema, dict) and isinstance(schema.get("properties"), dict):
                return schema
            problems.append(f"{path}:1: must describe an object with properties")
    return None


def _check_schema_fits(dataset: Dataset, path: Path, table: Table, problems: list[str]) -> None:
    """Content and consent must speak of the same fields, else something could travel that nobody agreed to."""
    schema, known = dataset.schema, set(dataset.field_ids)
    expected: Mapping[str, object] = {"$schema": DRAFT, "type": "object", "additionalProperties": False}
    for member, value in expected.items():
        if schema.get(member) != value:
            problems.append(f"{path}:{_line_of_member(path, [member])}: {member} must be {json.dumps(value)}")
    if (member := "patternProperties") in schema:
        problems.append(f"{path}:{_line_of_member(path, [member])}: {member} would let in what is no field")
    for name in schema["properties"]:
        if name not in known:
            problems.append(f"{path}:{_line_of_member(path, ['properties', name])}: {name} is no field of the dataset")
    for index, field in enumerate(dataset.fields):
        if field.id not in schema["properties"]:
            table.note(f"is not described in {path.name}", "fields", index, "id")
    if set(schema.get("required", [])) != dataset.required_fields:
        problems.append(f"{path}:{_line_of_member(path, ['required'])}: required must list exactly the required fields")
    for name in _members(schema):
        if name not in dataset.members:
            problems.append(f"{path}:{_line_of_member(path, [name])}: {name} has no name in {MEMBERS}")


def _members(schema: Any) -> Iterator[str]:
    """What stands inside of a content's fields: the properties of every object below the topmost."""
    for part in _properties(schema).values():
        described = part.get("items", part) if isinstance(part, dict) else part
        yield from _properties(described)
        yield from _members(described)


def _properties(schema: Any) -> Mapping[str, Any]:
    return schema.get("properties", {}) if isinstance(schema, dict) else {}


def _line_of_member(path: Path, members: Any) -> int:
    """The line of a JSON member: each of its ancestors' names is looked for below the one before."""
    text, position = text_file.read(path), 0
    for member in members:
        found = re.compile(rf"{re.escape(json.dumps(member, ensure_ascii=False))}\s*:").search(text, position)
        position = found.start() if found else position
    return text.count("\n", 0, position) + 1


def _read(path: Path, read: Callable[[Table], T], problems: list[str]) -> T | None:
    """Let `read` take a TOML file apart; what it notes goes to `problems` with file and line."""
    try:
        document, text = toml_file.read(path)
    except OSError as error:
        problems.append(f"{path}:1: {error.strerror}")
        return None
    except toml_file.NotToml as error:
        problems.append(f"{path}:{error.line}: {error}")
        return None
    noted: list[Problem] = []
    table = Table(document, noted)
    result = read(table)
    table.done()
    lines = line_numbers(text)
    problems += [f"{path}:{line_of(problem.path, lines)}: {problem}" for problem in noted]
    return result
