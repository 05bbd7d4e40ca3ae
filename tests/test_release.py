"""The wheel and the source distribution, and the program that the wheel installs."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path, PurePosixPath

import pytest

import icstream

ROOT = Path(__file__).parents[1]
FOLDERS = ("configs", "model", "pipeline", "stages")
FILES = ("CHANGELOG.md", "LICENSE", "MANIFEST.in", "README.md", "constraints.txt", "pyproject.toml")


def stated_version() -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        version: str = tomllib.load(file)["project"]["version"]
    return version


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without the settings of the tests' own Python; return what it printed."""
    environment = {key: value for key, value in os.environ.items() if "PYTHON" not in key}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, cwd=cwd, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_version_is_the_one_of_the_project() -> None:
    assert icstream.__version__ == stated_version()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a source distribution, and the wheel that was built from it."""
    source, out = (tmp_path_factory.mktemp(name) for name in ("source", "dist"))
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("icstream", *FOLDERS):
        shutil.copytree(ROOT / folder, source / folder, symlinks=True, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "build", "--no-isolation", "-o", out, source, cwd=source)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with the wheel, which has all other packages from this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    program = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(python, "-c", program, cwd=folder).strip())
    # Lines of these folders' own .pth files have no effect: the checkout cannot be imported.
    borrowed = [path for path in sys.path if Path(path).name == "site-packages"]
    (packages / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    return folder


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_folders_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        found = {name for name in file.namelist() if ".dist-info/" not in name}
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    expected = {
        f"icstream/{path.relative_to(ROOT)}" for path in paths if path.parent.name != "__pycache__"
    }
    assert found == expected | {"icstream/__init__.py", "icstream/py.typed"}
    kinds = {PurePosixPath(name).suffix for name in found}
    assert kinds >= {".safetensors", ".yaml", ".typed", ".html", ".js", ".css"}


@pytest.mark.slow
def test_the_source_distribution_has_the_same_files_and_no_tests(built: Path, wheel: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as file:
        members = file.getmembers()
    found = {member.name.partition("/")[2] for member in members if member.isfile()}
    with zipfile.ZipFile(wheel) as packed:
        assert found >= {name for name in packed.namelist() if ".dist-info/" not in name}
    assert found >= set(FILES)
    assert not any(name.startswith("tests/") for name in found)
    assert not any(member.issym() or member.islnk() for member in members)


@pytest.mark.slow
def test_the_files_state_the_version(built: Path) -> None:
    names = sorted(path.name for path in built.iterdir())
    version = stated_version()
    assert names == [f"icstream-{version}-py3-none-any.whl", f"icstream-{version}.tar.gz"]


@pytest.mark.slow
def test_what_the_wheel_installs_runs_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    program = "import icstream.pipeline as p; print(p.__file__)"
    where = run(installed / "bin" / "python", "-c", program, cwd=tmp_path).strip()
    assert Path(where).is_relative_to(installed)
    command = installed / "bin" / "icstream"
    assert run(command, "--version", cwd=tmp_path) == f"icstream {stated_version()}\n"
    run(command, "demo", "-o", "demo", cwd=tmp_path)
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert report["version"] == stated_version()
    assert report["streams"]["street"]["encoded"] == 75
