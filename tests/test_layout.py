"""Rules of the project that no tool checks."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from support.caffe_files import caffemodel, merged, random_blobs

ROOT = Path(__file__).parents[1]
FOLDERS = ("configs", "model", "pipeline", "stages")


def packages() -> list[str]:
    inits = (path for folder in FOLDERS for path in (ROOT / folder).rglob("__init__.py"))
    return sorted("icstream." + ".".join(p.parent.relative_to(ROOT).parts) for p in inits)


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
    imported = {"TYPE_CHECKING", "Any", "import_module", "renamed_arguments", "warn_renamed"}
    assert visible - imported <= set(offered)


def test_a_link_makes_a_package_of_each_folder() -> None:
    links = sorted(path for path in (ROOT / "icstream").iterdir() if path.is_symlink())
    assert [link.name for link in links] == list(FOLDERS)
    assert all(link.resolve() == ROOT / link.name for link in links)


def loaded_by(code: str) -> set[str]:
    """Return the modules that a new interpreter has loaded after running some code."""
    code = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        (
            "icstream.stages.decode, icstream.stages.sinks.registry, icstream.pipeline.cli.main",
            {"torch", "openvino", "numba"},
        ),
        ("icstream.pipeline.workers.main", {"torch", "openvino", "numba", "pydantic", "yaml"}),
    ],
)
def test_what_is_slow_to_import_is_imported_on_first_use(modules: str, absent: set[str]) -> None:
    assert not loaded_by(f"import {modules}") & absent


def test_the_hub_draws_nothing() -> None:
    modules = loaded_by("import icstream.pipeline.hub.hub, icstream.pipeline.run.run")
    assert "icstream.pipeline.hub.hub" in modules
    assert not modules & {"rich", "typer", "fastapi"}


@pytest.mark.slow
def test_converting_needs_no_sockets(tmp_path: Path) -> None:
    """The pipeline's own modules too: only the command line and what checks its output."""
    source = tmp_path / "net.caffemodel"
    source.write_bytes(caffemodel(merged(random_blobs(1 / 16, num_classes=19))))
    arguments = ["convert", str(source), "-o", str(tmp_path / "net.safetensors"), "--json", "r"]
    arguments[-1] = str(tmp_path / "report.json")
    modules = loaded_by(
        f"from icstream.pipeline.cli.main import run_cli\nassert run_cli({arguments}) == 0"
    )
    assert (tmp_path / "report.json").exists()
    assert "zmq" not in modules
    packages_of_ours = {
        name.split(".")[2] for name in modules if name.startswith("icstream.pipeline.")
    }
    assert packages_of_ours == {"cli", "output"}


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert found
    return found


def test_no_module_is_too_long_to_read() -> None:
    assert [str(p) for p in sources(*FOLDERS) if len(p.read_text().splitlines()) > 400] == []


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def longer_than(limit: int, kind: type[Definition], paths: list[Path]) -> list[str]:
    """Return the functions or classes with more lines, without decorators, by file and name."""
    found = [(path, node) for path in paths for node in ast.walk(ast.parse(path.read_text()))]
    return [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path, node in found
        if isinstance(node, kind) and (node.end_lineno or 0) - node.lineno >= limit
    ]


@pytest.mark.parametrize("kind", [ast.FunctionDef, ast.AsyncFunctionDef])
def test_no_function_is_too_long_to_read(kind: type[Definition]) -> None:
    assert longer_than(60, kind, sources(*FOLDERS, "benchmarks", "examples")) == []


def test_no_class_of_the_hub_is_too_long_to_read() -> None:
    assert longer_than(200, ast.ClassDef, sources("pipeline/hub")) == []


def test_no_function_has_the_name_of_its_module() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in sources(*FOLDERS, "benchmarks")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == path.stem
    ]
    assert sorted(found) == ["pipeline/cli/main.py", "pipeline/workers/main.py"]


def test_the_pipeline_has_few_entries() -> None:
    entries = [path for path in (ROOT / "pipeline").iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 20


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_files_that_the_pages_name_are_there(page: str) -> None:
    """A path is given from the root, or its end stands for the one file that has it."""
    named = set(re.findall(r"`([\w/]+\.py)`", (ROOT / page).read_text()))
    assert len(named) > 5
    ours = {
        str(path.relative_to(ROOT))
        for folder in (*FOLDERS, "tests")
        for path in (ROOT / folder).rglob("*.py")
    }
    missing = {
        name
        for name in named
        if "NAME" not in name and not any(f"/{path}".endswith(f"/{name}") for path in ours)
    }
    assert missing == set()
