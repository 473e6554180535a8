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
        # As every command of `mydata`, for that is how it is started.
        sys.stderr.write(f"mydata: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
