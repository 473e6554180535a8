"""The data files, and what a broken one is told: the file and the line."""

import json
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from authz_server.catalogue import loader
from authz_server.catalogue.loader import CatalogueError, load, read
from authz_server.catalogue.model import Catalogue, Dataset

CATALOGUE = load()
DATASETS = [dataset for agency in CATALOGUE for dataset in agency.datasets]
EXPECTED = {
    "ris": {"personal", "household", "id-card-image", "kinship", "marital-status"},
    "bli": {"enrolment", "benefits", "pension", "contributions"},
    "land": {"cadastre", "announced-value", "tax-payment"},
    "fia": {"property", "income", "income-certificate", "house-tax"},
    "nhi": {"enrolment", "premiums"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A catalogue of one agency, free to be broken."""
    shutil.copytree(loader.DEFAULT_DIRECTORY / "fia", tmp_path / "fia")
    shutil.copy(loader.DEFAULT_DIRECTORY / loader.MEMBERS, tmp_path)
    return tmp_path


def test_it_has_the_five_agencies_and_their_datasets() -> None:
    assert {agency.id: {item.id.split(".")[1] for item in agency.datasets} for agency in CATALOGUE} == EXPECTED
    assert CATALOGUE.dataset("fia.income").agency_id == "fia"
    assert CATALOGUE.agency("land").name.get("zh-TW") == "內政部地政司"
    assert CATALOGUE.find_dataset("fia.nothing") is None
    assert CATALOGUE.find_agency("nobody") is None


def test_it_is_read_once_in_a_process() -> None:
    assert load() is load()


def test_every_scope_is_a_scope_token() -> None:
    # RFC 6749 section 3.3
    assert all(re.fullmatch(r"[\x21\x23-\x5B\x5D-\x7E]+", scope) for scope in CATALOGUE.scopes)


def test_one_dataset_is_slow_and_one_is_large() -> None:
    income, image = CATALOGUE.dataset("fia.income"), CATALOGUE.dataset("ris.id-card-image")
    assert income.typical_wait_s == 7200
    assert income.preparing_limit_s > income.typical_wait_s
    assert image.large
    assert image.level == 1
    assert image.formats == ("json", "pdf", "png")


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.id)
def test_a_dataset_is_complete_in_both_languages(dataset: Dataset) -> None:
    assert 8 <= len(dataset.fields) <= 20
    names = [item.name for item in dataset.fields] + [item.name for item in dataset.parameters]
    for text in (dataset.name, dataset.description, *names, *dataset.members.values()):
        assert re.search(r"[一-鿿]", text.get("zh-TW"))
        assert re.fullmatch(r"[\x20-\x7e]+", text.get("en"))
    assert dataset.required_fields <= set(dataset.field_ids)
    assert dataset.in_order(frozenset(dataset.field_ids)) == dataset.field_ids
    assert dataset.field(dataset.field_ids[0]).required


def test_each_name_for_what_is_inside_of_fields_is_used() -> None:
    words = tomllib.loads((loader.DEFAULT_DIRECTORY / loader.MEMBERS).read_text(encoding="utf-8"))
    assert {name for dataset in DATASETS for name in dataset.members} == set(words)
    assert CATALOGUE.dataset("ris.personal").members["changed_on"].get("zh-TW") == "變更日期"


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.id)
def test_a_schema_refuses_what_is_no_field(dataset: Dataset) -> None:
    errors = list(Draft202012Validator(dataset.schema).iter_errors({"something_else": 1}))
    assert {error.validator for error in errors} == {"additionalProperties", "required"}


def test_the_version_changes_with_any_file(folder: Path) -> None:
    before = read(folder).version
    assert read(folder).version == before
    path = folder / "fia" / "income.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("level = 2", "level = 3"), encoding="utf-8")
    assert read(folder).version != before


def replaced(old: str, new: str, file: str = "income.toml") -> Callable[[Path], tuple[str, int]]:
    """Break one file by replacing the first `old`; the problem is on the line of it."""

    def breaks(folder: Path) -> tuple[str, int]:
        path = folder / "fia" / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return file, text[: text.index(old) + len(old)].count("\n") + 1

    return breaks


BROKEN: dict[str, tuple[Callable[[Path], tuple[str, int]], str]] = {
    "not TOML": (replaced("level = 2", "level = "), "Invalid value"),
    "cut short": (replaced('zh = "個人所得資料", en = "Personal income" }', 'zh = "個人所得資料"'), "inline table"),
    "level missing": (replaced('id = "fia.income"\nlevel = 2', 'id = "fia.income"'), "level: is missing"),
    "level too low": (replaced("level = 2", "level = 5"), "level: must be 1 to 4"),
    "level no number": (replaced("level = 2", "level = true"), "level: must be a whole number"),
    "id of another": (replaced('id = "fia.income"', 'id = "fia.incomes"'), "id: must be fia.income"),
    "misspelt key": (replaced("typical_wait_s", "typical_wait"), "typical_wait: is not known here"),
    "language missing": (replaced('en = "Salaries"', 'fr = "Salaires"'), "name.en: is missing"),
    "empty text": (replaced('en = "Salaries"', 'en = " "'), "name.en: must be a text"),
    "invisible text": (replaced('en = "Salaries"', 'en = "Sal\\u202earies"'), "name.en: must be a text"),
    "unknown sensitivity": (replaced('"sensitive"', '"secret"'), "sensitivity: must be one of"),
    "unknown type": (replaced('type = "year"', 'type = "decade"'), "type: must be one of"),
    "bad field id": (replaced('"salary_income"', '"Salary income"'), "id: must be small letters"),
    "field twice": (replaced('"interest_income"', '"salary_income"'), "id: is there twice"),
    "field not in schema": (replaced('"salary_income"', '"wages"'), "id: is not described in income.schema.json"),
    "required of wrong type": (replaced("required = true", 'required = "yes"'), "required: must be true or false"),
    "no such format": (replaced('"pdf"', '"doc"'), "formats: must have json and pdf"),
    "agency of another name": (replaced('id = "fia"', 'id = "fib"', "agency.toml"), "id: must be the name"),
    "agency without https": (replaced("https://", "http://", "agency.toml"), "url: must be an https address"),
    "schema not JSON": (replaced('"type": "object",', '"type": ,', "income.schema.json"), "Expecting value"),
    "schema not a schema": (
        replaced('"type": "integer"', '"type": "number of TWD"', "income.schema.json"),
        "is not valid under any of the given schemas",
    ),
    "schema with too much": (
        replaced('"salary_income": {', '"salary": {}, "salary_income": {', "income.schema.json"),
        "salary is no field",
    ),
    "schema too open": (
        replaced('"additionalProperties": false', '"additionalProperties": true', "income.schema.json"),
        "additionalProperties must be false",
    ),
    "schema open for a pattern": (
        replaced(
            '"additionalProperties": false',
            '"patternProperties": {}, "additionalProperties": false',
            "income.schema.json",
        ),
        "patternProperties would let in what is no field",
    ),
    "inside without a name": (replaced('"withheld":', '"kept_back":', "income.schema.json"), "kept_back has no name"),
    "schema requires another": (
        replaced('"required": ["name", "national_id"]', '"required": ["name"]', "income.schema.json"),
        "required must list exactly",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_catalogue_names_file_and_line(name: str, folder: Path) -> None:
    breaks, message = BROKEN[name]
    file, line = breaks(folder)
    if name == "level missing":  # there is no line of what is not there
        line = 1
    with pytest.raises(CatalogueError) as caught:
        read(folder)
    assert any(
        problem.startswith(f"{folder / 'fia' / file}:{line}:") and message in problem
        for problem in caught.value.problems
    ), caught.value.problems


def test_all_problems_of_all_files_are_listed(folder: Path) -> None:
    for breaks, _message in (BROKEN["level too low"], BROKEN["unknown type"], BROKEN["agency without https"]):
        breaks(folder)
    with pytest.raises(CatalogueError) as caught:
        read(folder)
    assert len(caught.value.problems) == 3


def test_a_schema_that_is_missing_or_spare_is_a_problem(folder: Path) -> None:
    schema = folder / "fia" / "income.schema.json"
    schema.rename(schema.with_name("spare.schema.json"))
    with pytest.raises(CatalogueError) as caught:
        read(folder)
    assert [Path(problem.split(":")[0]).name for problem in caught.value.problems] == [
        "income.schema.json",
        "spare.schema.json",
    ]


def test_an_agency_without_datasets_or_a_folder_without_agencies_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="no folder of an agency"):
        read(tmp_path)
    (tmp_path / "fia").mkdir()
    shutil.copy(loader.DEFAULT_DIRECTORY / "fia" / "agency.toml", tmp_path / "fia")
    with pytest.raises(CatalogueError, match="has no dataset"):
        read(tmp_path)


def test_files_that_are_not_text_are_a_problem(folder: Path) -> None:
    (folder / "fia" / "income.toml").write_bytes(b"id = '\xff'\n")
    (folder / "fia" / "house-tax.schema.json").write_bytes(b'{"\xff": 1}')
    (folder / "fia" / "property.schema.json").write_text(json.dumps({"type": "object"}), encoding="utf-8")
    with pytest.raises(CatalogueError) as caught:
        read(folder)
    assert [problem.rsplit(": ", 1)[1] for problem in caught.value.problems] == [
        "is not UTF-8",
        "is not UTF-8",
        "must describe an object with properties",
    ]


def test_a_catalogue_is_immutable() -> None:
    assert isinstance(CATALOGUE, Catalogue)
    with pytest.raises(AttributeError):
        CATALOGUE.version = "other"  # type: ignore[misc]
