"""A real browser: headless Chromium, controlled by its DevTools protocol through pipes."""

import base64
import itertools
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Self

from support.clips import require_program


class Browser:
    """Chromium, used as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Start it with `folder` for its profile."""
        read_there, write_here = os.pipe()
        read_here, write_there = os.pipe()
        flags = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio"),
            *("--disable-background-networking", "--disable-component-update"),
            *("--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"),
        ]
        # It communicates through descriptors 3 and 4.
        script = f'exec "$@" 3<&{read_there} 4>&{write_there}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "chromium", require_program("chromium"), *flags],
            pass_fds=(read_there, write_there),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_there)
        os.close(write_there)
        self._to, self._from = write_here, read_here
        self._numbers = itertools.count(1)
        self._unread = b""
        self.events: list[dict[str, Any]] = []
        """The events received."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._to)
        self._process.kill()
        self._process.wait()
        os.close(self._from)

    def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Return the answer to a command."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def open(
        self, url: str, *, size: tuple[int, int] = (900, 1280), mobile: bool = False
    ) -> "Page":
        """Open a page in a tab of (height, width) pixels."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        page.ask("Runtime.enable")
        page.ask("Page.enable")
        page.ask(
            "Emulation.setDeviceMetricsOverride",
            height=size[0],
            width=size[1],
            deviceScaleFactor=1,
            mobile=mobile,
        )
        page.ask("Page.navigate", url=url)
        return page

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            chunk = os.read(self._from, 1 << 20)
            assert chunk, "Chromium has ended"
            self._unread += chunk
        message, _, self._unread = self._unread.partition(b"\0")
        values: dict[str, Any] = json.loads(message)
        return values


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the answer to a command for this tab."""
        return self._browser.ask(method, self._session, **params)

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, or of its promise."""
        answer = self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str, *, timeout_s: float = 60) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + timeout_s
        while not self.value(f"Boolean({expression})"):
            assert time.monotonic() < deadline, f"still not: {expression}"
            time.sleep(0.05)

    def errors(self) -> list[str]:
        """Return the errors of the page's scripts."""
        failed = (e for e in self._browser.events if e["method"] == "Runtime.exceptionThrown")
        return [event["params"]["exceptionDetails"]["text"] for event in failed]

    def screenshot(self, path: Path, *, quality: int = 80) -> None:
        """Write a JPEG of the visible page."""
        data = self.ask("Page.captureScreenshot", format="jpeg", quality=quality)["data"]
        path.write_bytes(base64.b64decode(data))
