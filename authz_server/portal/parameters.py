"""The fields of a form that ask for a dataset's parameters, and what came of them. Template: parameters.html."""

from collections.abc import Mapping
from typing import Any, Final

from flask import request
from flask_babel import gettext

from authz_server.catalogue import counties
from authz_server.catalogue.model import Dataset, Parameter
from authz_server.catalogue.parameters import this_year
from authz_server.clients.ranges import Range
from authz_server.consent.wording import gap
from authz_server.extensions import services
from authz_server.portal import locale

YEARS_OFFERED: Final = 15
ANY: Final[Mapping[str, Range]] = {}


def asks(dataset: Dataset, errors: Mapping[str, str], limits: Mapping[str, Range] = ANY) -> list[dict[str, Any]]:
    """What the form asks for: a field for each parameter, for a period two. Args: limits: what a purpose allows."""
    spoken = locale.current()
    found = []
    for parameter in dataset.parameters:
        label = parameter.name.get(spoken)
        limit = limits.get(parameter.id)
        for name, part in _fields(dataset, parameter):
            found.append(
                {
                    "name": name,
                    "kind": parameter.type,
                    "label": f"{label}{gap(spoken)}{part}" if part else label,
                    "required": parameter.required or limit is not None,
                    "value": request.form.get(name, ""),
                    "options": _options(parameter, spoken, limit),
                    "error": errors.get(name),
                }
            )
    return found


def read(dataset: Dataset, limits: Mapping[str, Range] = ANY) -> tuple[tuple[tuple[str, str], ...], dict[str, str]]:
    """The parameters that were given, in their normal form and sorted; and what is wrong with them, by field."""
    given, errors = [], {}
    for parameter in dataset.parameters:
        names = [name for name, _ in _fields(dataset, parameter)]
        values = [request.form.get(name, "").strip() for name in names]
        limit = limits.get(parameter.id)
        # A parameter that a purpose limits has to be given: left out, it limits nothing.
        if not any(values) and not parameter.required and limit is None:
            continue
        try:
            value = parameter.parse("/".join(values))
        except ValueError:
            errors[names[0]] = _problem(parameter, missing=not all(values))
            continue
        if limit is not None and not limit.allows(value):
            name = parameter.name.get(locale.current())
            errors[names[0]] = gettext("%(name)s: more than this purpose may ask for.", name=name)
        given.append((parameter.id, value))
    return tuple(sorted(given)), errors


def summary_of(errors: Mapping[str, str]) -> list[dict[str, str]]:
    """What is wrong, for the summary on top; of which dataset, where the same is wrong with several."""
    spoken, find, texts = locale.current(), services().catalogue.dataset, list(errors.values())
    colon = ": " if spoken == "en" else "："
    of = {name: find(name.partition("/")[0]).name.get(spoken) + colon for name in errors}
    return [
        {"text": (of[name] if texts.count(text) > 1 else "") + text, "href": f"#{name}"}
        for name, text in errors.items()
    ]


def _fields(dataset: Dataset, parameter: Parameter) -> list[tuple[str, str]]:
    name = f"{dataset.id}/{parameter.id}"
    if parameter.type != "period":
        return [(name, "")]
    return [(f"{name}/first", gettext("(first month)")), (f"{name}/last", gettext("(last month)"))]


def _options(parameter: Parameter, spoken: str, limit: Range | None) -> list[tuple[str, str]]:
    values: list[str] = []
    if parameter.type == "year":
        values = [str(this_year() - ago) for ago in range(YEARS_OFFERED)]
    elif parameter.type == "county":
        values = list(counties.ENGLISH)
    return [(value, parameter.display(value, spoken)) for value in values if limit is None or limit.allows(value)]


def _problem(parameter: Parameter, *, missing: bool) -> str:
    name = parameter.name.get(locale.current())
    if missing:
        return gettext("%(name)s is missing.", name=name)
    if parameter.type == "period":
        return gettext(
            "%(name)s: from an earlier month to a later one, such as January to December 2025; at most 60 months, "
            "none of them in the future.",
            name=name,
        )
    return gettext("%(name)s is not valid.", name=name)
