"""The view behind a real proxy, under a path."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.browser import Browser
from support.clips import make_clip, require_program
from support.live_runs import LiveRun, get

pytestmark = pytest.mark.slow

TOKEN = "a token of some length"
LOCATIONS = """
    location /cut/ {{ proxy_pass http://{view}/; }}
    location /kept/ {{ proxy_pass http://{view}; proxy_set_header X-Forwarded-Prefix /kept; }}
    location = /bare {{ proxy_pass http://{view}/; proxy_set_header X-Forwarded-Prefix /bare; }}
    location /bare/ {{ proxy_pass http://{view}/; proxy_set_header X-Forwarded-Prefix /bare; }}
"""
SETTINGS = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    {locations}
  }}
}}
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Return a folder that nginx's workers may enter, who are another user."""
    made = Path(tempfile.mkdtemp(prefix="icstream-nginx-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@contextmanager
def nginx(folder: Path, view: str, port: int) -> Iterator[str]:
    """Return the address of nginx in front of a view."""
    file = folder / "nginx.conf"
    locations = LOCATIONS.format(view=view)
    file.write_text(SETTINGS.format(folder=folder, port=port, locations=locations))
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin") or require_program("nginx")
    command = [program, "-c", str(file), "-e", str(folder / "errors")]
    process = subprocess.Popen(command)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def test_the_page_works_under_any_path(folder: Path, tmp_path: Path) -> None:
    clip = make_clip(folder / "clip.mp4", size=(96, 160))
    view = ("--view-address", "127.0.0.1:0", "--view-token", TOKEN)
    with LiveRun([clip], tmp_path / "out", "--loop", "100000", "--sink", "areas", *view) as run:
        address = run.address().removeprefix("http://")
        port = int(address.rpartition(":")[2])
        # A port beside the view's own, which the system gave out, is free with near certainty.
        with nginx(folder, address, port + 1 if port < 65_000 else port - 1) as url:
            run.wait_for(lambda: get(f"{url}/cut/readyz")[0] == 200)
            with Browser(folder / "profile") as browser:
                for path in ("/cut", "/kept/", "/bare"):
                    page = browser.open(url + path)
                    page.wait_for("document.querySelector('#token')")
                    page.value(f"document.querySelector('#token').value = '{TOKEN}'")
                    page.value("document.querySelector('form').submit()")
                    page.wait_for("document.querySelector('canvas[data-index]')")
                    page.wait_for("document.querySelector('dl').textContent.includes('frames/s')")
                    assert page.value("location.href") == f"{url}/{path.strip('/')}/"
                    assert page.errors() == []
