"""The agencies' books: a record for every person and dataset, made up from the dataset's schema, always the same.

Names that appear in a schema get values that look like what they are called; whatever is left follows its type. So a
dataset that the platform adds tomorrow has data as well.
"""

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from .people import COUNTIES, TOWNS, Person, find_person, invented_name, invented_national_id, is_national_id, seeded
from .platform import Dataset

Schema = dict[str, Any]
PENSION = "bli.pension"
PAYMENTS = ("labour_payments", "employment_payments", "farmers_payments", "disability_payments")
AS_OF = date(2026, 6, 30)
MINORS_ARE_BORN_AFTER = AS_OF.replace(year=AS_OF.year - 18).isoformat()
EMPLOYERS = ("合成資料股份有限公司", "虛構顧問有限公司", "樣本食品工業股份有限公司")


def find_record(dataset: Dataset, national_id: str, parameters: dict[str, str], *, canary: str = "") -> Schema | None:
    """Return the person's record with all fields of the dataset, or None if there is none.

    `canary`: put into the text values that can hold it, so that a test can search for it where no data may be.
    """
    if not is_national_id(national_id):
        return None
    person = find_person(national_id)
    if dataset.id == PENSION and not person.draws_pension:
        return None
    inputs = sorted(f"{name}={value}" for name, value in parameters.items())
    record = Clerk(person, parameters, seeded(national_id, dataset.id, *inputs)).fill(dataset.schema)
    add_up(record, person)
    return with_canary(record, dataset.schema, canary)


class Clerk:
    """Fills in one form. Each value depends on the person, the parameters and the numbers drawn so far."""

    def __init__(self, person: Person, parameters: dict[str, str], rng: random.Random) -> None:
        self.rng = rng
        self.known = self_evident(person) | dict(parameters)
        if "period" in parameters:
            self.known |= dict(zip(("period_from", "period_to"), parameters["period"].split("/"), strict=True))

    def fill(self, schema: Schema) -> dict[str, Any]:
        """The whole form: what is known of the person, then the rest."""
        return {
            name: self.known[name] if name in self.known else self.value(name, part)
            for name, part in schema["properties"].items()
        }

    def value(self, name: str, schema: Schema) -> Any:
        """One value of that name and schema."""
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.rng.choice(schema["enum"])
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        match kinds[0]:
            case "object":
                return {inner: self.value(inner, part) for inner, part in schema["properties"].items()}
            case "array":
                count = min(self.rng.randrange(1, 4), schema.get("maxItems", 3))
                return in_order([self.value(name, schema["items"]) for _ in range(count)])
            case "boolean":
                return self.rng.random() < 0.8
            case "integer" | "number":
                return self.number(name, schema)
        if schema.get("format") == "date":
            return (AS_OF - timedelta(self.rng.randrange(1, 4000))).isoformat()
        if name == "month":
            return self.known.get("period_from", "2026-01")
        return TEXTS[name](self.rng) if name in TEXTS else "樣本"

    def number(self, name: str, schema: Schema) -> int | float:
        """A plausible number: money in round sums, anything else within its limits."""
        for ending, low, high, step in NUMBERS:
            if name.endswith(ending):
                return self.rng.randrange(low, high, step)
        return self.rng.randrange(schema.get("minimum", 0), min(int(schema.get("maximum", 100)), 100) + 1)


NUMBERS = (  # the first ending that fits: from, to, in steps of
    ("salary_income", 400_000, 1_800_000, 1_000),
    ("gross_income", 500_000, 2_000_000, 1_000),
    ("_income", 0, 90_000, 500),
    ("employer_rate", 6, 7, 1),
    ("rate_percent", 5, 6, 1),
    ("wage", 30_000, 80_000, 100),
    ("insured_amount", 30_000, 80_000, 100),
    ("monthly_amount", 15_000, 40_000, 100),
    ("arrears", 0, 1, 1),
    ("per_m2", 3_000, 200_000, 100),
    ("balance", 100_000, 900_000, 1),
    ("value", 100_000, 9_000_000, 1_000),
    ("price", 1_000_000, 30_000_000, 10_000),
    ("amount", 500, 60_000, 1),
    ("tax", 1_000, 60_000, 1),
    ("withheld", 0, 9_000, 1),
)
TEXTS: dict[str, Callable[[random.Random], str]] = {
    "name": invented_name,
    "father_name": invented_name,
    "mother_name": invented_name,
    "national_id": invented_national_id,
    "employer_name": lambda rng: rng.choice(EMPLOYERS),
    "unit_name": lambda rng: rng.choice(EMPLOYERS),
    "payer": lambda rng: rng.choice(EMPLOYERS),
    "company": lambda rng: rng.choice(EMPLOYERS),
    "creditor": lambda _: "樣本商業銀行",
    "make": lambda _: "樣本汽車",
    "unit_number": lambda rng: f"{rng.randrange(10**8):08}",
    "tax_id": lambda rng: f"{rng.randrange(10**8):08}",
    "household_number": lambda rng: f"F{rng.randrange(10**7):07}",
    "certificate_number": lambda rng: f"樣本字第{rng.randrange(10**6):06}號",
    "bill_number": lambda rng: f"SPEC{rng.randrange(10**8):08}",
    "tax_number": lambda rng: f"F{rng.randrange(10**10):010}",
    "plate": lambda rng: f"TST-{rng.randrange(10**4):04}",
    "number": lambda rng: f"{rng.randrange(1, 2000):04}-{rng.randrange(100):04}",
    "share": lambda rng: f"1/{rng.randrange(1, 9)}",
    "period_from": lambda _: "2026-01",
    "period_to": lambda _: "2026-06",
    "year": lambda rng: str(rng.randrange(110, 115)),
    "tax_year": lambda _: "114",
    "county": lambda rng: rng.choice(COUNTIES),
    "town": lambda rng: rng.choice(TOWNS),
    "section": lambda rng: f"合成段{rng.choice('一二三四')}小段",
    "address": lambda rng: f"{rng.choice(COUNTIES)}{rng.choice(TOWNS)}合成路{rng.randrange(1, 300)}號",
    "relationship": lambda rng: rng.choice(("配偶", "長子", "長女", "父", "母")),
    "kind": lambda rng: rng.choice(("第一種樣本", "第二種樣本")),
    "use": lambda rng: rng.choice(("住家用", "營業用")),
    "main_use": lambda _: "住家用",
    "land_use": lambda _: "都市土地",
    "rate": lambda _: "一般用地",
    "sha256": lambda _: "A" * 43,
}


def self_evident(person: Person) -> dict[str, Any]:
    """The values that are the same in whatever office, so that two datasets of one person agree."""
    spouse = invented_name(seeded(person.national_id, "spouse")) if person.married else None
    wedding = (person.birth_date + timedelta(10_500)).isoformat() if person.married else None
    return {
        "name": person.name,
        "national_id": person.national_id,
        "birth_date": person.birth_date.isoformat(),
        "sex": person.sex,
        "registered_address": person.address,
        "owner_address": person.address,
        "birth_place": person.county,
        "issued_at": person.county,
        "household_head": True,
        "head_name": person.name,
        "relationship_to_head": "本人",
        "indigenous_status": None,
        "insured_now": True,
        "marital_status": "有偶" if person.married else "未婚",
        "spouse_name": spouse,
        "spouse_nationality": "中華民國" if person.married else None,
        "married_on": wedding,
        "divorced_on": None,
        "widowed_on": None,
        "record_as_of": AS_OF.isoformat(),
        "register_updated_on": AS_OF.isoformat(),
    }


def in_order(items: list[Any]) -> list[Any]:
    """Entries with a date, oldest first."""
    dated = [name for name in ("on", "paid_on", "effective_on", "traded_on") if items and name in items[0]]
    return sorted(items, key=lambda item: item[dated[0]]) if dated else items


def monthly(premiums: list[Any], first: str, last: str) -> list[Any]:
    """One premium a month from the period's first, of one employer."""
    start = int(first[:4]) * 12 + int(first[5:]) - 1
    for number, item in enumerate(premiums):
        year, month = divmod(start + number, 12)
        item |= {"month": f"{year}-{month + 1:02}", "amount": 826, "unit_name": premiums[0]["unit_name"]}
    return [item for item in premiums if item["month"] <= last]


COUNTS = {
    "member_count": ("members",),
    "parcel_count": ("areas",),
    "property_count": ("houses", "lands", "vehicles", "investments"),
    "payment_count": PAYMENTS,
}
SUMS = {"total_premium": ("premiums",), "total_supplementary": ("supplementary_premiums",), "total_amount": PAYMENTS}


def add_up(record: dict[str, Any], person: Person) -> None:
    """Make counts, sums and what follows from other values agree with them."""
    if "premiums" in record:
        record["premiums"] = monthly(record["premiums"], record["period_from"], record["period_to"])
    for count, lists in COUNTS.items():
        if count in record:
            record[count] = sum(len(record[name]) for name in lists)
    for total, lists in SUMS.items():
        if total in record:
            record[total] = sum(item["amount"] for name in lists for item in record[name])
    if "total_income" in record:
        kinds = [name for name in record if name.endswith("_income") and name != "total_income"]
        record["total_income"] = sum(record[name] for name in kinds)
    if "gross_income" in record:
        record["deductions"] = record["gross_income"] // 4
        record["net_income"] = record["gross_income"] - record["deductions"]
        record["tax_due"] = record["tax_paid"] = record["net_income"] * record["tax_rate_percent"] // 100
    if "paid_amount" in record:
        record |= {"paid_amount": record["tax_amount"], "state": "已繳清"}
    if "members" in record:
        myself = {name: record[name] for name in ("name", "national_id")}
        record["members"][0] |= myself | {"birth_date": person.birth_date.isoformat(), "relationship": "戶長"}
    if "minors_count" in record:
        record["minors_count"] = sum(member["birth_date"] > MINORS_ARE_BORN_AFTER for member in record["members"])
    if "marital_status" in record:
        record["history"] = [{"event": "結婚", "on": record["married_on"]}] if record["married_on"] else []


def with_canary(record: dict[str, Any], schema: Schema, canary: str) -> dict[str, Any]:
    """The record with the canary behind every text of it that may be that long and of any shape."""
    changed = dict(record)
    for name, part in schema["properties"].items():
        free = "string" in str(part.get("type")) and not {"pattern", "format", "enum", "const"} & part.keys()
        if free and isinstance(record[name], str) and len(record[name] + canary) <= part.get("maxLength", 0):
            changed[name] += canary
    return changed
