"""Rules of the project that no tool checks."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("configs", "model", "pipeline", "stages")


def packages() -> list[str]:
    inits = (path for folder in FOLDERS for path in (ROOT / folder).rglob("__init__.py"))
    return sorted("icstream." + ".".join(p.parent.relative_to(ROOT).parts) for p in inits)


def test_every_package_is_listed_for_installation() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["tool"]["setuptools"]["packages"]
    assert listed == packages()


@pytest.mark.parametrize("name", packages())
def test_what_a_package_offers_is_listed_sorted_and_there(name: str) -> None:
    package = importlib.import_module(name)
    offered = getattr(package, "__all__", [])
    assert offered == sorted(offered, key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    assert all(hasattr(package, entry) for entry in offered)
    visible = {
        entry
        for entry, value in vars(package).items()
        if not entry.startswith("_") and not isinstance(value, ModuleType)
    }
    imported = {"TYPE_CHECKING", "Any", "import_module", "warn_renamed"}
    assert visible - imported <= set(offered)


def test_type_checkers_find_each_folder() -> None:
    links = sorted((ROOT / ".typing" / "icstream").iterdir())
    assert [link.name for link in links] == list(FOLDERS)
    assert all(link.resolve() == ROOT / link.name for link in links)


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        (
            "icstream.stages.decode, icstream.stages.sinks.registry, icstream.pipeline.cli.main",
            ("torch", "openvino", "numba"),
        ),
        ("icstream.pipeline.workers.main", ("torch", "openvino", "numba", "pydantic", "yaml")),
    ],
)
def test_what_is_slow_to_import_is_imported_on_first_use(
    modules: str, absent: tuple[str, ...]
) -> None:
    code = f"import sys, {modules}; print([name for name in {absent} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_no_module_is_too_long_to_read() -> None:
    sources = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 20
    assert [str(p) for p in sources if len(p.read_text().splitlines()) > 400] == []
