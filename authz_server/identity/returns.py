"""Where a browser may be sent after the sign-in: a page of this server, or home."""

import re

HOME = "/"
# Characters that no parser reads differently: no backslash, no percent, no colon, no at sign, no control character.
_LOCAL = re.compile(r"/[A-Za-z0-9_.~/-]{0,300}(\?[A-Za-z0-9_.~=&-]{0,300})?")


def local_path(value: str | None) -> str:
    """Return `value` if it is a path of this server in its plainest form, else home.

    Deliberately narrower than RFC 3986: what browsers make of the rest differs (`//`, `/\\`, `/<tab>/`, `/.//`).
    """
    if value and _LOCAL.fullmatch(value) and "//" not in value and "/." not in value:
        return value
    return HOME
