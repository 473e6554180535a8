"""The file that an agency hands to the platform's operator: `mydata agency add agency.toml`."""

import json
from typing import Any


def agency_toml(agency_id: str, jwks: dict[str, Any], url: str) -> str:
    """Return the registration: id, how it is talked to, and its public keys. Args: url: of its program."""
    lines = [f'id = "{agency_id}"', 'connector = "jose"', f'correction_endpoint = "{url}/{agency_id}/corrections"']
    lines += [f'preparation_endpoint = "{url}/{agency_id}/preparations"']
    lines += ["", "[jwks]", "keys = ["]
    for key in jwks["keys"]:
        # A JSON string of ASCII is a TOML string as well.
        members = ", ".join(f"{name} = {json.dumps(value)}" for name, value in sorted(key.items()))
        lines.append(f"  {{ {members} }},")
    return "\n".join([*lines, "]", ""])
