"""Requests that Schemathesis makes from our own OpenAPI document."""

from functools import cache
from typing import Any, Protocol

import schemathesis
from flask import Flask
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation.feedback import NO_FEEDBACK
from schemathesis.generation.hypothesis.builder import (
    InvalidHeadersExampleMark,
    MissingPathParameters,
    UnserializablePayloadMark,
)
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.openapi import document

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
BOUNDED = settings(max_examples=12, suppress_health_check=list(HealthCheck), deadline=None)
# Of cases that were left out.
LEFT_OUT = (InvalidHeadersExampleMark, MissingPathParameters, UnserializablePayloadMark)


class Requests(Protocol):
    """All requests of one operation."""

    def __call__(self, *, app: Flask) -> None: ...


def check(method: str, path: str, app: Flask) -> None:
    """Make all requests of one operation. Raises: what Schemathesis finds."""
    requests = _requests(method, path)
    requests(app=app)
    assert not [mark.attr_name for mark in LEFT_OUT if mark.get(requests) is not None]


@cache
def _schema() -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_dict(document())


@cache
def _requests(method: str, path: str) -> Requests:
    """As Schemathesis makes them of a test: examples, what covers the schemas, what they exclude, and random ones."""
    schema = _schema()
    operation = schema[path][method]
    requests: Requests = build_operation_test(
        config=schema.config, operation=operation, test_func=_validated, given_kwargs={}, feedback=NO_FEEDBACK
    )
    return requests


@BOUNDED
def _validated(case: schemathesis.Case[Any], app: Flask) -> None:
    case.operation.schema.app = app
    case.call_and_validate(checks=CHECKS, app=app)
