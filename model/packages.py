"""The packages that icstream needs, by its own metadata, and which of them are not installed."""

import importlib.util
import re
from collections.abc import Iterable
from importlib.metadata import requires

from icstream.model.errors import ConfigError

_MODULES = {"opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml", "pyzmq": "zmq"}
"""Names to import packages by, where they are not the packages' own."""


def requirements(extra: str | None = None) -> list[str]:
    """Return the packages that icstream needs, or those that an extra adds, in alphabetical order.

    Other conditions, as the kind of machine, are not looked at.
    """
    names = []
    for requirement in requires("icstream") or ():
        text, _, condition = requirement.partition(";")
        of_extra = re.search(r"extra\s*==\s*[\"']([\w-]+)", condition)
        if (of_extra and of_extra[1]) == extra:
            names.append(re.split(r"[^\w.-]", text.strip(), maxsplit=1)[0])
    return sorted(names)


def module_of(package: str) -> str:
    """Return the name to import a package by."""
    return _MODULES.get(package, package.replace("-", "_"))


def missing(packages: Iterable[str]) -> list[str]:
    """Return those of the packages that are not installed."""
    return [name for name in packages if importlib.util.find_spec(module_of(name)) is None]


def check_installed(packages: Iterable[str], *, extra: str, needed_by: str) -> None:
    """Make sure that packages are installed.

    Args:
        packages: to look for.
        extra: of icstream, which brings them.
        needed_by: what does not work without them, for the error.

    Raises:
        ConfigError: some are not; the text names them and the extra.
    """
    lacking = missing(packages)
    if lacking:
        raise ConfigError(
            f"{needed_by} needs {', '.join(lacking)}: pip install 'icstream[{extra}]'"
        )
