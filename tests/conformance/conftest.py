"""A platform whose server demands DPoP nonces, on the database of the shared one."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from authz_server.app import create_app
from authz_server.database import db
from tests.support.platform import Platform


@pytest.fixture(scope="session")
def nonce_platform(platform: Platform) -> Iterator[Platform]:
    """The peers of `platform` at a second server of the same database, where `dpop_nonce` is on."""
    settings = replace(platform.settings, dpop_nonce=True)
    app = create_app(settings, catalogue=platform.catalogue)
    second = Platform(app, settings, platform.catalogue)
    second.agency_keys, second.totp_secrets = platform.agency_keys, platform.totp_secrets
    for name in ("bank", "other_bank", "proxy"):
        setattr(second, name, replace(getattr(platform, name), browser=second.browser()))
    yield second
    second.engine.dispose()
    with app.app_context():
        db.engine.dispose()
