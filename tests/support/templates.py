"""Databases to be copied, made once: the tables alone, and a platform with everybody registered.

A copy costs a test a few milliseconds; to migrate, to register and to hash passwords costs some hundred.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from authz_server import schema
from authz_server.app import create_app
from authz_server.catalogue.model import Catalogue
from authz_server.database import db
from tests.support import postgres
from tests.support.platform import Platform, settings_for


@dataclass(frozen=True)
class Templates:
    """The templates of one process.

    Args: folder: for the files of SQLite; that of PostgreSQL are in the server of the run.
    """

    folder: Path
    catalogue: Catalogue

    @contextmanager
    def copied(self, kind: str, folder: Path, *, populated: bool) -> Iterator[str]:
        """The URL of a database of a test's own, gone afterwards. Args: kind: sqlite or postgresql."""
        template = self.populated(kind)[0] if populated else self.migrated(kind)
        if kind == "sqlite":
            yield f"sqlite:///{shutil.copy(template, folder / 'mydata.sqlite3')}"
        else:
            with postgres.copied(template) as url:
                yield url

    @cache  # noqa: B019 - there is one, and it lives as long as the process
    def migrated(self, kind: str) -> str:
        """The name of a database with the tables of this release, and nobody in it."""
        if kind == "postgresql":
            return postgres.shared_template("mydata_template", schema.migrate)
        path = self.folder / "migrated.sqlite3"
        schema.migrate(f"sqlite:///{path}")
        return str(path)

    @cache  # noqa: B019 - as above
    def populated(self, kind: str) -> tuple[str, dict[str, str]]:
        """The name of one where everybody is registered, and the citizens' secrets of one-time codes."""
        if kind == "postgresql":
            name = f"mydata_populated_{os.getpid()}"  # as the keys are this process's own
            url = postgres.create(name, template=self.migrated(kind))
        else:
            name = str(shutil.copy(self.migrated(kind), self.folder / "populated.sqlite3"))
            url = f"sqlite:///{name}"
        settings = settings_for(url, self.folder)
        app = create_app(settings, catalogue=self.catalogue)
        with Platform(app, settings, self.catalogue) as platform:
            platform.register()
        with app.app_context():
            db.engine.dispose()
        return name, platform.totp_secrets
