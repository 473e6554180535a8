"""The operator's commands, run with the settings of a test's own server."""

from pathlib import Path

from authz_server.config import Settings


def settings_file(settings: Settings, folder: Path) -> Path:
    """Write a file for MYDATA_SETTINGS that leads to the same database; its path."""
    path = folder / "mydata.toml"
    path.write_text(
        f'issuer = "{settings.issuer}"\nproxy_url = "{settings.proxy_url}"\n'
        f'database_url = "{settings.database_url}"\nkeys_file = "keys.json"\nsecret_file = "secret"\n'
    )
    return path
