"""Many clients at once, some of whom send what is no image."""

import io
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import urllib3
from numpy.typing import NDArray
from PIL import Image

from support.images import broken_images
from support.servers import Server

RETRY = urllib3.Retry(
    total=None, status=1000, status_forcelist=[503], allowed_methods=None, raise_on_status=False
)
"""Comes back when Retry-After says so."""


@dataclass(frozen=True, slots=True, eq=False)
class SentImage:
    """An image file, and the mask that a run made of it."""

    data: bytes
    expected_HW: NDArray[np.uint8]


@dataclass(slots=True)
class Outcome:
    """What the clients got.

    Attributes:
        statuses: how often each status was the last word on a good or a broken request.
        different: masks that were not those of the run.
        lost: good requests that were not answered in the end.
    """

    statuses: dict[str, Counter[int]] = field(
        default_factory=lambda: {"good": Counter(), "broken": Counter()}
    )
    different: int = 0
    lost: list[str] = field(default_factory=list)
    num_retries: int = 0


def ask_at_once(
    server: Server,
    images: Sequence[SentImage],
    *,
    num_requests: int,
    num_clients: int = 32,
    broken_share: float = 0.1,
    seed: int = 0,
) -> Outcome:
    """Sends requests from as many threads as there are clients, and compares every answer."""
    rng = np.random.default_rng(seed)
    rubbish = list(broken_images(rng).values())
    plan = [
        ("broken", int(rng.integers(len(rubbish))))
        if rng.random() < broken_share
        else ("good", int(rng.integers(len(images))))
        for _ in range(num_requests)
    ]
    outcome, lock = Outcome(), threading.Lock()

    def ask(kind: str, number: int) -> None:
        if kind == "broken":
            body, media_type = rubbish[number]
        else:
            body, media_type = images[number].data, "application/octet-stream"
        reply = server.ask("/segment", body, headers={"Content-Type": media_type}, retries=RETRY)
        right = kind == "broken" or _same(reply, images[number])
        with lock:
            outcome.statuses[kind][reply.status] += 1
            outcome.different += not right
            outcome.num_retries += len(reply.retries.history) if reply.retries else 0

    with ThreadPoolExecutor(num_clients) as clients:
        for done in [clients.submit(ask, *entry) for entry in plan]:
            error = done.exception()
            if error is not None:
                outcome.lost.append(repr(error))
    return outcome


def _same(reply: urllib3.BaseHTTPResponse, image: SentImage) -> bool:
    if reply.status != 200:
        return False
    ids_HW = np.array(Image.open(io.BytesIO(reply.data)))
    return np.array_equal(ids_HW, image.expected_HW)
