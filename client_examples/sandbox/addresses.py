"""Where the parts of a sandbox listen."""

from .processes import LOOPBACK, choose_ports

FRIENDLY_PORTS = {
    "server": 8000, "proxy": 8001, "agency": 8002, "bank": 8003, "node-bank": 8004, "registry": 8005, "mailbox": 8006,
    "ca": 8007, "desk": 8008, "smtp": 8025,
}  # fmt: skip


# Of whoever follows docs/integrate.md: their bank.
GUIDES_BANK = f"{LOOPBACK}:8009"


class Addresses:
    """A port on loopback for each part. Args: wanted: taken if all of them are free."""

    def __init__(self, wanted: dict[str, int] | None) -> None:
        fitting = list(wanted.values()) if wanted and list(wanted) == list(FRIENDLY_PORTS) else None
        ports = choose_ports(fitting, len(FRIENDLY_PORTS))
        self.binds = dict(zip(FRIENDLY_PORTS, ports, strict=True))

    @property
    def issuer(self) -> str:
        """URL of the authorization server."""
        return self._url("server")

    @property
    def proxy_url(self) -> str:
        """URL of the resource proxy."""
        return self._url("proxy")

    @property
    def agency_url(self) -> str:
        """URL of the program that plays all agencies; each is a path of its own."""
        return self._url("agency")

    @property
    def registry_url(self) -> str:
        """URL of the registry that knows people's cards and documents."""
        return self._url("registry")

    @property
    def mailbox_url(self) -> str:
        """URL of the pages that show what citizens were sent, by e-mail and SMS."""
        return self._url("mailbox")

    @property
    def bank_url(self) -> str:
        """URL of the Python bank's web site."""
        return self._url("bank")

    @property
    def node_bank_url(self) -> str:
        """URL of the Node.js bank's web site."""
        return self._url("node-bank")

    @property
    def desk_url(self) -> str:
        """URL of the desk at an office's counter."""
        return self._url("desk")

    def _url(self, name: str) -> str:
        # The platform has a name: browsers make passkeys for names only, and its cookies stay apart from the banks'.
        return f"http://{'localhost' if name == 'server' else LOOPBACK}:{self.binds[name]}"

    def _bind(self, name: str) -> str:
        return f"{LOOPBACK}:{self.binds[name]}"
