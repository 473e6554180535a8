"""The answers that carry no data. Their texts are constant: nothing of a ticket or a person is repeated in them."""

import json

from flask import Response

NO_RECORD = "urn:mydata:problem:no-record"


def problem(status: int, title: str, kind: str = "about:blank", *, retry_after_s: int | None = None) -> Response:
    """An error as application/problem+json. Source: RFC 9457."""
    body = json.dumps({"type": kind, "title": title, "status": status})
    response = Response(body, status=status, mimetype="application/problem+json")
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def retry_later(title: str) -> Response:
    """503: this agency cannot answer now."""
    return problem(503, title, retry_after_s=5)


def preparing(wait_s: int) -> Response:
    """202: the data is being put together; ask again after so many seconds."""
    body = json.dumps({"status": "preparing", "retry_after_s": wait_s})
    return Response(body, status=202, mimetype="application/json", headers={"Retry-After": str(wait_s)})
