"""The service's page in a real browser."""

import base64
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from icstream.model import CAMVID
from support.browser import Browser, Page
from support.clips import make_clip
from support.images import encode, make_image
from support.servers import Server, serve_streets

pytestmark = pytest.mark.slow

SIZE = (48, 64)
TOKEN = "a-token-for-tests"
DONE = "/48|64/.test(document.querySelector('#status').textContent)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "street.png"
    path.write_bytes(encode(make_image(np.random.default_rng(5), *SIZE), "PNG"))
    return path


def url(server: Server) -> str:
    return f"http://{server.address}/"


def choose_file(page: Page, path: Path) -> None:
    """Choose a file as a person does in the dialogue."""
    page.wait_for("document.querySelector('#model')?.options.length")
    root = page.ask("DOM.getDocument")["root"]["nodeId"]
    node = page.ask("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    page.ask("DOM.setFileInputFiles", nodeId=node, files=[str(path)])


def shown(page: Page) -> NDArray[np.uint8]:
    """Return what the canvas shows."""
    data = page.value("document.querySelector('#canvas').toDataURL('image/png')")
    png = base64.b64decode(data.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def slide(page: Page, percent: int) -> None:
    page.value(
        f"(() => {{ const slider = document.querySelector('#opacity'); slider.value = {percent};"
        " slider.dispatchEvent(new Event('input')); })()"
    )


@pytest.fixture(scope="module")
def page(browser: Browser, server: Server, image: Path) -> Page:
    """The page with a segmented image."""
    page = browser.open(url(server))
    choose_file(page, image)
    page.wait_for(DONE)
    return page


def test_shows_the_mask_over_the_image(page: Page, server: Server, image: Path) -> None:
    mask = Image.open(io.BytesIO(server.ask("/segment", image.read_bytes()).data))
    slide(page, 100)
    np.testing.assert_array_equal(shown(page), np.asarray(mask.convert("RGB")))
    slide(page, 0)
    np.testing.assert_array_equal(shown(page), np.asarray(Image.open(image)))
    assert page.errors() == []


def test_names_each_class_with_its_share_and_color(page: Page, server: Server, image: Path) -> None:
    ids = np.asarray(Image.open(io.BytesIO(server.ask("/segment", image.read_bytes()).data)))
    counts = np.bincount(ids.ravel(), minlength=len(CAMVID))
    rows = page.value(
        "[...document.querySelectorAll('#legend tbody tr')].map(row => ["
        "row.children[0].textContent, parseFloat(row.children[1].textContent),"
        " row.querySelector('.swatch').style.background])"
    )
    order = sorted(np.flatnonzero(counts), key=lambda k: -counts[k])
    assert [row[0] for row in rows] == [CAMVID.names[k] for k in order]
    assert [row[1] for row in rows] == pytest.approx(
        [100 * counts[k] / ids.size for k in order], abs=0.06
    )
    assert [row[2] for row in rows] == ["rgb({}, {}, {})".format(*CAMVID.colors[k]) for k in order]


def test_the_page_shows_the_duration(page: Page) -> None:
    names = page.value("[...document.querySelectorAll('#times dt')].map(e => e.textContent)")
    assert names[:4] == ["Waiting", "Unpacking", "Network", "Encoding"]
    values = page.value("[...document.querySelectorAll('#times dd')].map(e => e.textContent)")
    assert all(value.endswith(" ms") for value in values)


def test_the_mask_can_be_saved(page: Page, server: Server, image: Path, tmp_path: Path) -> None:
    page.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.value("document.querySelector('#save').click()")
    expected = server.ask("/segment", image.read_bytes()).data
    deadline = time.monotonic() + 30
    saved = tmp_path / "mask.png"
    while not saved.exists() or saved.read_bytes() != expected:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_dropped_image_is_segmented_too(browser: Browser, server: Server, image: Path) -> None:
    page = browser.open(url(server))
    page.wait_for("document.querySelector('#model')?.options.length")
    data = base64.b64encode(image.read_bytes()).decode()
    page.value(
        f"const bytes = Uint8Array.from(atob('{data}'), c => c.charCodeAt(0));"
        "const transfer = new DataTransfer();"
        "transfer.items.add(new File([bytes], 'dropped.png', {type: 'image/png'}));"
        "document.querySelector('#drop').dispatchEvent("
        "new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true}));"
    )
    page.wait_for(DONE)
    assert "dropped.png" in page.value("document.querySelector('#status').textContent")


def test_a_clip_is_segmented_frame_by_frame(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    page = browser.open(url(server))
    choose_file(page, make_clip(tmp_path / "clip.mp4", pts=range(30), size=SIZE))
    page.wait_for("/\\d+ frames/.test(document.querySelector('#status').textContent)")
    page.wait_for("document.querySelector('#stop').hidden")
    assert shown(page).shape[:2] == SIZE
    assert page.errors() == []


def test_the_page_shows_the_error_for_a_file_that_is_not_an_image(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    rubbish = tmp_path / "rubbish.png"
    rubbish.write_bytes(b"rubbish")
    page = browser.open(url(server))
    choose_file(page, rubbish)
    page.wait_for("document.querySelector('.failed')?.textContent.includes('not an image')")


def test_the_page_requests_a_token_where_one_is_needed(browser: Browser, image: Path) -> None:
    environment = os.environ | {"ICSTREAM_SERVE_TOKEN": TOKEN}
    with serve_streets(environment=environment) as service:
        service.wait_ready()
        page = browser.open(url(service))
        page.wait_for("document.querySelector('#access')?.open")
        page.value(f"document.querySelector('#token').value = '{TOKEN}'")
        page.value("document.querySelector('#login button').click()")
        choose_file(page, image)
        page.wait_for(DONE)


def test_every_control_has_a_name_and_can_be_reached(page: Page) -> None:
    page.value("document.querySelector('#access').open = true")
    unnamed = page.value(
        "[...document.querySelectorAll('button, input, select, a')].filter(e =>"
        " !(e.textContent.trim() || e.labels?.length) || e.tabIndex < 0).length"
    )
    assert unnamed == 0
    assert page.value("document.documentElement.lang") == "en"
    assert page.value("document.querySelector('#status').getAttribute('aria-live')") == "polite"


def test_a_phone_shows_everything_without_scrolling_sideways(
    browser: Browser, server: Server, image: Path
) -> None:
    phone = browser.open(url(server), size=(844, 390), mobile=True)
    choose_file(phone, image)
    phone.wait_for(DONE)
    assert phone.value("document.documentElement.scrollWidth") <= 390


def test_dark_mode_is_dark(page: Page) -> None:
    shade = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    assert min(page.value(shade)) > 200
    features: list[dict[str, Any]] = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.ask("Emulation.setEmulatedMedia", features=features)
    assert max(page.value(shade)) < 60


def test_the_documentation_works_without_a_network(browser: Browser, server: Server) -> None:
    page = browser.open(url(server) + "docs")
    page.wait_for("document.body?.innerText.includes('/segment')")
    assert page.errors() == []
