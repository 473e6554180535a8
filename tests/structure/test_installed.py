"""What is installed is all that runs: also where only the package is, and not this folder."""

from configparser import ConfigParser

from tests.support.tree import ROOT, tracked_files

INSTALLED = ("authz_server", "migrations", "resource_proxy")
FOR_DEVELOPERS = {"script.py.mako", "stylesheet"}  # what other files are made of


def test_every_file_that_the_servers_read_is_installed_with_them() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    data = {
        found.relative_to(ROOT)
        for package, patterns in setup["options.package_data"].items()
        for pattern in patterns.split()
        for found in (ROOT / package).glob(pattern.replace("**", "**/*"))
    }
    left_out = [
        path
        for path in tracked_files()
        if path.parts[0] in INSTALLED and not FOR_DEVELOPERS & set(path.parts) and path not in data
        # `packages = find:` takes the modules of folders with this file.
        if path.suffix != ".py" or not (ROOT / path).with_name("__init__.py").is_file()
    ]
    assert left_out == []
