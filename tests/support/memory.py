"""The file system in the machine's memory, where there is one: a run's databases come and go by the thousand."""

import os
import shutil
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 - whoever uses it makes a folder of their own
_ROOM_BYTES = 4 * 2**30


def memory() -> Path | None:
    """The folder, if any user may make one there and start programs in it, and it has more room than a run needs."""
    try:
        is_open = _MEMORY.stat().st_mode & 0o1777 == 0o1777 and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
        return _MEMORY if is_open and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES else None
    except OSError:
        return None
