"""JSON of a peer, of which only an object is of use."""

from typing import Any

import orjson


def object_or_empty(text: str | bytes) -> dict[str, Any]:
    """The JSON object; empty if it is anything else."""
    try:
        value = orjson.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
