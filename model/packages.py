"""The required packages by icstream's metadata, and those that are not installed."""

import importlib.util
import re
from collections.abc import Iterable
from importlib.metadata import requires

from icstream.model.errors import ConfigError

_MODULES = {"opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml", "pyzmq": "zmq"}
"""The import names of packages, where they differ from the packages' names."""


def requirements(extra: str | None = None) -> list[str]:
    """Return the packages of icstream or of one of its extras, in alphabetical order.

    Other conditions, such as the platform, are ignored.
    """
    names = []
    for requirement in requires("icstream") or ():
        text, _, condition = requirement.partition(";")
        of_extra = re.search(r"extra\s*==\s*[\"']([\w-]+)", condition)
        if (of_extra and of_extra[1]) == extra:
            names.append(re.split(r"[^\w.-]", text.strip(), maxsplit=1)[0])
    return sorted(names)


def module_of(package: str) -> str:
    """Return the import name of a package."""
    return _MODULES.get(package, package.replace("-", "_"))


def missing(packages: Iterable[str]) -> list[str]:
    """Return the packages that are not installed."""
    return [name for name in packages if importlib.util.find_spec(module_of(name)) is None]


def check_installed(packages: Iterable[str], *, extra: str, needed_by: str) -> None:
    """Check that packages are installed.

    Args:
        packages: The packages to look for.
        extra: The extra of icstream that installs them.
        needed_by: What needs them, for the error message.

    Raises:
        ConfigError: Some are not installed; the text names them and the extra.
    """
    lacking = missing(packages)
    if lacking:
        raise ConfigError(
            f"{needed_by} needs {', '.join(lacking)}: pip install 'icstream[{extra}]'"
        )
