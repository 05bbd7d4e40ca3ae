"""The commands and snippets about the service in README.md and docs/ do what they say."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.clips import require_program
from support.doc_commands import blocks, commands
from support.images import encode, make_image
from support.servers import Server

pytestmark = pytest.mark.slow

COMMANDS = sorted({command.text for command in commands() if command.program == "curl"})


@pytest.mark.parametrize("command", COMMANDS)
def test_every_curl_command_works(command: str, server: Server, tmp_path: Path) -> None:
    require_program("curl")
    (tmp_path / "street.jpg").write_bytes(
        encode(make_image(np.random.default_rng(4), 48, 64), "JPEG")
    )
    line = command.replace("localhost:5000", f"localhost:{server.port}")
    line = line.replace("camvid", "streets").replace("curl ", "curl -sS --fail-with-body ", 1)
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if "-o " in line:
        assert (tmp_path / "mask.png").read_bytes().startswith(b"\x89PNG")
    elif "health" not in line:
        assert json.loads(done.stdout)


def test_every_snippet_works(server: Server) -> None:
    texts = [b.text for b in blocks() if (b.page, b.language) == ("docs/serve.md", "python")]
    names: dict[str, Any] = {"images": make_image(np.random.default_rng(4), 48, 64)[None]}
    for text in texts:
        exec(text.replace(":5000", f":{server.port}").replace("camvid", "streets"), names)
        names["client"].close()
    assert names["class_ids"].shape == (1, 48, 64)


def test_there_are_commands_for_every_interface() -> None:
    text = "\n".join(COMMANDS)
    assert all(part in text for part in ("/segment", "/model/inference", "get_out_meta", "/infer"))
