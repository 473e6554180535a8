"""Where the command `mydata` starts: the proxy needs nothing of this server, and does not wait until it is loaded."""

import gc
import os
import sys
from typing import NoReturn


def main() -> None:
    """Run the command that is named."""
    if sys.argv[1:] == ["proxy"]:
        run_proxy()
    # Nothing that is loaded is garbage: to look through it again and again takes a fifth of the time.
    gc.disable()
    from authz_server.cli import main as run_command

    gc.freeze()
    gc.enable()
    run_command()


def run_proxy() -> NoReturn:
    """Become the resource proxy. By its name: this package must not import it."""
    os.execv(sys.executable, [sys.executable, "-m", "resource_proxy"])  # noqa: S606 - our interpreter, fixed arguments
