"""The file that an agency hands to the platform's operator: `mydata agency add agency.toml`."""

import json
from typing import Any


def agency_toml(agency_id: str, jwks: dict[str, Any]) -> str:
    """Return the registration: id, how it is talked to, and its public keys."""
    lines = [f'id = "{agency_id}"', 'connector = "jose"', "", "[jwks]", "keys = ["]
    for key in jwks["keys"]:
        # A JSON string of ASCII is a TOML string as well.
        members = ", ".join(f"{name} = {json.dumps(value)}" for name, value in sorted(key.items()))
        lines.append(f"  {{ {members} }},")
    return "\n".join([*lines, "]", ""])
