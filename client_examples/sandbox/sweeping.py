"""A folder that goes also where whoever made it is killed: another process waits for that."""

import subprocess
from pathlib import Path

# Deletes the folder once its input has a line or was ended: by the system, should whoever started it be killed. A
# database server in it, and whatever else had to end because of that, may still be writing for a moment.
_SWEEP = """
read -r nothing
while pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
for again in 1 2 3 4 5 6 7 8 9; do rm -rf "$0" 2>/dev/null && break; sleep 1; done
"""


class Sweeper:
    """Deletes a folder when this process ends, in whatever way, or before that when it is told to."""

    def __init__(self, folder: Path) -> None:
        command = ["/bin/sh", "-c", _SWEEP, str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd="/", start_new_session=True)

    def sweep(self) -> None:
        """Delete it now, and return when that is done; a second time does nothing."""
        if self._process.returncode is None:
            self._process.communicate(b"\n")  # a process that was forked meanwhile has the input open as well
