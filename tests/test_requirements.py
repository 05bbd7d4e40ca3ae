"""The ranges of versions in pyproject.toml, and what is installed of them."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
WITHOUT_UPPER_BOUND = {"matplotlib", "prometheus-client", "python-multipart", "pyyaml", "rich"}


def project() -> dict[str, list[str]]:
    """Return the requirement of icstream and of its extras, by extra."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        found = tomllib.load(file)["project"]
    return {"": found["dependencies"], **found["optional-dependencies"]}


def ranges() -> dict[str, Requirement]:
    lines = (line for group in project().values() for line in group)
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def pins(lines: list[str]) -> Iterator[tuple[str, Version]]:
    for requirement in map(Requirement, lines):
        (pin,) = requirement.specifier
        assert pin.operator == "=="
        yield canonicalize_name(requirement.name), Version(pin.version)


def test_what_is_pinned_is_in_the_range() -> None:
    stated = ranges()
    pinned = list(pins((ROOT / "constraints.txt").read_text().splitlines()))
    # torchvision is what `make setup` does not install.
    assert set(stated) - {name for name, _ in pinned} == {"icstream", "torchvision"}
    for name, version in pinned:
        assert name not in stated or version in stated[name].specifier, name


def test_what_users_install_has_an_upper_bound_unless_it_is_listed() -> None:
    of_users = [Requirement(r) for e, group in project().items() for r in group if e != "dev"]
    bounded = {r.name for r in of_users if any(s.operator == "<" for s in r.specifier)}
    assert {r.name for r in of_users} - bounded == WITHOUT_UPPER_BOUND


def test_the_lowest_versions_are_the_ends_of_the_ranges() -> None:
    command = [sys.executable, str(ROOT / ".ci" / "lowest.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lowest = dict(pins(done.stdout.splitlines()))
    assert set(lowest) >= {canonicalize_name(Requirement(r).name) for r in project()[""]}
    for name, version in lowest.items():
        (least,) = (s for s in ranges()[name].specifier if s.operator == ">=")
        assert version == Version(least.version)


def test_every_python_that_is_listed_is_allowed() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found = tomllib.load(file)["project"]
    prefix = "Programming Language :: Python :: 3."
    listed = [int(c.removeprefix(prefix)) for c in found["classifiers"] if c.startswith(prefix)]
    assert listed == list(range(listed[0], listed[-1] + 1))
    assert found["requires-python"] == f">=3.{listed[0]}"
