"""The files that git tracks (or would, at the next commit), so that what is generated or ignored is never looked at."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = ("LICENSE", "requirements.lock", "package-lock.json", ".min.css", ".min.js", ".css.map", ".mo")


@cache
def tracked_files() -> tuple[Path, ...]:
    """Paths relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return tuple(path for name in listed.split("\0") if name and (ROOT / (path := Path(name))).is_file())


def our_texts() -> list[tuple[Path, str]]:
    """Every text file that people of this project write, with its content."""
    texts = []
    for path in tracked_files():
        if path.name.endswith(NOT_OURS):
            continue
        try:
            texts.append((path, (ROOT / path).read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue  # a picture
    return texts


def python_files(*folders: str) -> list[Path]:
    """Tracked Python files below these top-level folders."""
    return [path for path in tracked_files() if path.suffix == ".py" and path.parts[0] in folders]
