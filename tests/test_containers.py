"""What the container recipes say is what the program does; no container engine is needed."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.commands import COMMAND
from support.servers import Server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CONTAINERS = ROOT / "examples" / "containers"
TOKEN = "a-token-for-tests"


def instructions(name: str) -> list[list[str]]:
    """Return the arguments of each instruction of that name in the Dockerfile."""
    text = (CONTAINERS / "Dockerfile").read_text().replace("\\\n", " ")
    found = re.findall(rf"^\s*{name} (.+)$", text, re.MULTILINE)
    return [json.loads(rest) if rest.startswith("[") else rest.split() for rest in found]


def service(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CONTAINERS / "compose.yaml").read_text())
    described: dict[str, Any] = values["services"][name]
    return described


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_folder_that_is_installed_is_copied() -> None:
    links = (path for path in (ROOT / "icstream").iterdir() if path.is_symlink())
    folders = {"icstream", *(str(link.resolve().relative_to(ROOT)) for link in links)}
    assert len(folders) == 5
    copied = {argument for arguments in instructions("COPY") for argument in arguments[:-1]}
    assert folders <= copied
    let_through = (CONTAINERS / "Dockerfile.dockerignore").read_text().splitlines()
    needed = {argument for argument in copied if not argument.startswith(("--", "/opt"))}
    assert {f"!{argument}" for argument in needed} <= set(let_through)
    assert all((ROOT / argument).exists() for argument in needed)


def test_requirements_are_those_of_the_project() -> None:
    command = [sys.executable, str(CONTAINERS / "requirements.py"), "serve"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    values = project()["project"]
    expected = values["dependencies"] + values["optional-dependencies"]["serve"]
    assert done.stdout.splitlines() == expected


def test_the_image_runs_as_a_user_without_rights() -> None:
    assert instructions("USER") == [["10001"]]


@pytest.fixture(scope="module")
def contained() -> Iterator[Server]:
    """Return the service as Compose starts it, but for the port and small images."""
    described = service("serve")
    assert list(described["environment"]) == ["ICSTREAM_SERVE_TOKEN"]
    command, *options = described["command"]
    assert command == "serve"
    assert options[: len(instructions("CMD")[-1]) - 1] == instructions("CMD")[-1][1:]
    small = ("--set", "model.warm_up=[33x33]")
    environment = os.environ | {"ICSTREAM_SERVE_TOKEN": TOKEN}
    with Server(*options, *small, environment=environment) as server:
        yield server.wait_ready()


def test_the_service_starts_as_in_compose_and_is_healthy(contained: Server) -> None:
    (check,) = instructions("HEALTHCHECK")
    line = json.loads(" ".join(check[check.index("CMD") + 1 :]))[-1]
    healthy = line.replace("127.0.0.1:5000", contained.address)
    assert healthy != line
    assert subprocess.run([sys.executable, "-c", healthy], check=False).returncode == 0
    sick = line.replace("/v2/health/ready", "/v2/nothing").replace(
        "127.0.0.1:5000", contained.address
    )
    done = subprocess.run([sys.executable, "-c", sick], capture_output=True, check=False)
    assert done.returncode != 0


def test_the_camera_is_started_with_options_that_there_are(tmp_path: Path) -> None:
    described = service("camera")
    assert described["entrypoint"] == ["sh", "-c"]
    (line,) = described["command"]
    line = line.replace("$$", "$").replace("8787", "0").replace("/results", str(tmp_path))
    line = line.replace("exec icstream", shlex.join(COMMAND))
    environment = os.environ | {"CAMERA": "nowhere.mp4", "ICSTREAM_VIEW_TOKEN": TOKEN}
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert done.returncode == 2
    assert "nowhere.mp4" in done.stderr
