"""The page of the live view in a real browser."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from support.browser import Browser, Page
from support.clips import make_clip
from support.live_runs import LiveRun

pytestmark = pytest.mark.slow

TOKEN = "a token of some length"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRun]:
    folder = tmp_path_factory.mktemp("live")
    clips = [make_clip(folder / f"{name}.mp4", size=(96, 160)) for name in ("left", "right")]
    options = ("--loop", "100000", "--sink", "areas", "--view-address", "127.0.0.1:0")
    with LiveRun(clips, folder / "out", *options, "--view-token", TOKEN) as run:
        yield run


@pytest.fixture(scope="module")
def page(browser: Browser, live: LiveRun) -> Page:
    """The page, with both streams shown, after logging in."""
    page = browser.open(live.address())
    page.wait_for("document.querySelector('#token')")
    page.value("document.querySelector('#token').value = 'wrong'")
    page.value("document.querySelector('form').submit()")
    page.wait_for("document.querySelector('[role=alert]')?.textContent.includes('Wrong token')")
    page.value(f"document.querySelector('#token').value = '{TOKEN}'")
    page.value("document.querySelector('form').submit()")
    page.wait_for("document.querySelectorAll('canvas[data-index]').length == 2")
    return page


def pixels(page: Page, stream: int) -> NDArray[np.uint8]:
    """Return what a canvas shows."""
    url = page.value(f"document.querySelectorAll('canvas')[{stream}].toDataURL('image/png')")
    data = base64.b64decode(url.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def freeze(page: Page) -> None:
    """Let no more images come, so that two looks can be compared."""
    page.value("window.fetch = () => new Promise(() => {})")
    page.value("new Promise(resolve => setTimeout(resolve, 500))")


def slide(page: Page, percent: int) -> None:
    page.value(
        f"(() => {{ const slider = document.querySelector('#opacity'); slider.value = {percent};"
        " slider.dispatchEvent(new Event('input')); })()"
    )


def test_the_page_shows_moving_images_and_metrics(page: Page) -> None:
    first = page.value("document.querySelector('canvas').dataset.index")
    page.wait_for(f"document.querySelector('canvas').dataset.index != '{first}'")
    page.wait_for("document.querySelector('#run').textContent.startsWith('running')")
    page.wait_for("document.querySelector('dl').textContent.includes('frames/s')")
    assert page.value(
        "[...document.querySelectorAll('h2')].slice(0, 2).map(e => e.textContent)"
    ) == [
        "left",
        "right",
    ]
    assert page.errors() == []


def test_each_class_is_named_and_has_its_share(page: Page) -> None:
    names = "[...document.querySelectorAll('#classes label')].map(e => e.children[2].textContent)"
    assert page.value(names)[3] == "Road"
    page.wait_for(
        "[...document.querySelectorAll('.share')].every(e => e.textContent.endsWith('%'))"
    )
    shares = page.value(
        "[...document.querySelectorAll('.share')].map(e => parseFloat(e.textContent))"
    )
    assert sum(shares) == pytest.approx(100, abs=1)
    page.wait_for("document.querySelector('canvas').getAttribute('aria-label').includes('%')")


def test_one_stream_can_be_made_large_and_small_again(page: Page) -> None:
    page.value("document.querySelectorAll('.enlarge')[1].click()")
    widths = "[...document.querySelectorAll('article')].map(e => e.getBoundingClientRect().width)"
    left, right = page.value(widths)
    assert right > left
    assert (
        page.value("document.querySelectorAll('.enlarge')[1].getAttribute('aria-pressed')")
        == "true"
    )
    page.value("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))")
    left, right = page.value(widths)
    assert left == right


def test_every_control_has_a_name_and_can_be_reached(page: Page) -> None:
    unnamed = page.value(
        "[...document.querySelectorAll('button, input')].filter(e =>"
        " !(e.textContent.trim() || e.labels?.length) || e.tabIndex < 0).length"
    )
    assert unnamed == 0
    assert page.value("document.documentElement.lang") == "en"


def test_a_phone_shows_everything_without_scrolling_sideways(
    browser: Browser, live: LiveRun
) -> None:
    phone = browser.open(live.address(), size=(844, 390), mobile=True)
    phone.wait_for("document.querySelectorAll('canvas[data-index]').length == 2")
    assert phone.value("document.documentElement.scrollWidth") <= 390


def test_dark_mode_is_dark(page: Page) -> None:
    shade = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    assert min(page.value(shade)) > 200
    features: list[dict[str, Any]] = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.ask("Emulation.setEmulatedMedia", features=features)
    assert max(page.value(shade)) < 60


def test_opacity_and_classes_change_what_is_shown(browser: Browser, live: LiveRun) -> None:
    page = browser.open(live.address())
    page.wait_for("document.querySelectorAll('canvas[data-index]').length == 2")
    freeze(page)
    slide(page, 0)
    bare = pixels(page, 0)
    assert len(np.unique(bare.reshape(-1, 3), axis=0)) > 1000
    slide(page, 100)
    colors = (
        "[...document.querySelectorAll('.swatch')]"
        ".map(e => e.style.background.match(/\\d+/g).map(Number))"
    )
    palette = {tuple(color) for color in page.value(colors)}
    shown = {tuple(map(int, pixel)) for pixel in np.unique(pixels(page, 0).reshape(-1, 3), axis=0)}
    assert shown <= palette
    page.value("document.querySelector('#none').click()")
    assert (pixels(page, 0) == bare).all()
    page.value("document.querySelector('#all').click()")
    assert not (pixels(page, 0) == bare).all()


def test_a_snapshot_is_the_image_with_its_mask(
    browser: Browser, live: LiveRun, tmp_path: Path
) -> None:
    page = browser.open(live.address())
    page.wait_for("document.querySelectorAll('canvas[data-index]').length == 2")
    page.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    freeze(page)
    shown = pixels(page, 1)
    index = int(page.value("document.querySelectorAll('canvas')[1].dataset.index"))
    page.value("document.querySelectorAll('.snapshot')[1].click()")
    path = tmp_path / f"right-{index:06}.png"
    live.wait_for(path.exists)
    page.value("new Promise(resolve => setTimeout(resolve, 300))")
    assert (np.asarray(Image.open(path).convert("RGB")) == shown).all()


def test_the_page_shows_a_lost_connection(page: Page, live: LiveRun) -> None:
    page.ask("Page.bringToFront")  # one that cannot be seen asks for nothing
    assert live.stop() == 143
    page.wait_for("/no answer|over/.test(document.querySelector('#run').textContent)")
