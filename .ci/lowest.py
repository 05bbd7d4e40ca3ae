"""Print the lowest versions that pyproject.toml allows, in the form of constraints.txt.

python .ci/lowest.py

Covers what icstream and its extras need, and leaves out what only its developers do.
"""

import re
import tomllib
from pathlib import Path

_PROJECT = Path(__file__).parents[1] / "pyproject.toml"
_WITHOUT = {"dev", "docs"}


def main() -> None:
    """Print a line for each package, in alphabetical order."""
    project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    groups = [group for extra, group in extras.items() if extra not in _WITHOUT]
    requirements = {line for group in [project["dependencies"], *groups] for line in group}
    print("\n".join(sorted({_lowest(line) for line in requirements})))


def _lowest(requirement: str) -> str:
    found = re.match(r"([\w-]+)>=([\d.]+)", requirement)
    if found is None:
        raise SystemExit(f"pyproject.toml: {requirement!r} has no lowest version")
    return f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    main()
