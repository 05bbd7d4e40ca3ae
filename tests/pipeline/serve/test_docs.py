"""The commands in docs/serve.md and README.md do what they say."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from support.clips import require_program
from support.images import encode, make_image
from support.servers import Server

ROOT = Path(__file__).parents[3]
TEXT = "\n".join((ROOT / name).read_text() for name in ("docs/serve.md", "README.md"))
COMMANDS = re.findall(r"^    (curl .+)$", TEXT, re.MULTILINE)


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


def test_there_are_commands_for_every_interface() -> None:
    text = "\n".join(COMMANDS)
    assert all(part in text for part in ("/segment", "/model/inference", "get_out_meta", "/infer"))
