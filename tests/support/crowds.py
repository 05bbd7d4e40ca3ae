"""Many simultaneous clients, some of which send broken requests."""

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
"""Retries as Retry-After states."""


@dataclass(frozen=True, slots=True, eq=False)
class SentImage:
    """An image file, and its mask from a run."""

    data: bytes
    expected_HW: NDArray[np.uint8]


@dataclass(slots=True)
class Outcome:
    """The answers that the clients received.

    Attributes:
        statuses: The numbers of final statuses of good and of broken requests.
        different: The masks that differ from those of the run.
        lost: The good requests without a final answer.
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
    """Send requests from one thread per client, and compare every answer."""
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
