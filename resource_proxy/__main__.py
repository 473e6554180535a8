"""`python -m resource_proxy`: read the settings, say what is wrong with them or serve."""

import sys

from authz_server.catalogue.loader import CatalogueError
from authz_server.core.settings import SettingsError
from resource_proxy import app, config


def main() -> None:
    """Serve until a signal says stop; exit with every problem if the settings or the catalogue can't be used."""
    try:
        app.serve(config.load())
    except (SettingsError, CatalogueError) as error:
        sys.exit("\n".join(error.problems))


if __name__ == "__main__":
    main()
