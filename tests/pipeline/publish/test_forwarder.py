"""Masks on their way to subscribers: encode workers send while somebody is connected."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from icstream.pipeline.publish.forwarder import MaskForwarder
from icstream.pipeline.settings.publish import PublishSettings


@contextmanager
def forwarding(folder: Path) -> Iterator[tuple["zmq.Socket[bytes]", str]]:
    """Run a forwarder, and return an encode worker's socket, and the address for subscribers."""
    address = f"ipc://{folder / 'masks'}"
    with zmq.Context() as context, context.socket(zmq.XPUB) as encoder:
        encoder.linger = 0
        forwarder = MaskForwarder(PublishSettings(address=address), f"ipc://{folder / 'in'}")
        threading.Thread(target=forwarder.run, daemon=True).start()
        encoder.connect(f"ipc://{folder / 'in'}")
        try:
            yield encoder, address
        finally:
            forwarder.release()


def test_encode_workers_send_while_somebody_is_connected(tmp_path: Path) -> None:
    with forwarding(tmp_path) as (encoder, address), zmq.Context() as context:
        assert encoder.poll(300) == 0
        for _ in range(2):
            with context.socket(zmq.SUB) as sub:
                sub.linger = 0
                sub.connect(address)
                sub.subscribe(b"gate")
                assert encoder.poll(10_000)
                assert encoder.recv() == b"\x01"
                deadline = time.monotonic() + 10
                while not sub.poll(20) and time.monotonic() < deadline:
                    encoder.send_multipart([b"yard", b"header", b"mask"])
                    encoder.send_multipart([b"gate", b"header", b"mask"])
                assert sub.recv_multipart() == [b"gate", b"header", b"mask"]
            assert encoder.poll(10_000)
            assert encoder.recv() == b"\x00"


@pytest.mark.parametrize("nonsense", [b"\x02x", b"\x00gate", b"", b"\xff" * 2000])
def test_subscribers_that_talk_nonsense_do_not_stop_others(tmp_path: Path, nonsense: bytes) -> None:
    with (
        forwarding(tmp_path) as (encoder, address),
        zmq.Context() as context,
        context.socket(zmq.SUB) as sub,
        context.socket(zmq.XSUB) as bad,
    ):
        sub.linger = bad.linger = 0
        sub.connect(address)
        sub.subscribe(b"gate")
        while not sub.poll(20):
            encoder.send_multipart([b"gate", b"0"])
        bad.connect(address)
        for _ in range(20):
            bad.send(nonsense)
            time.sleep(0.01)
        while sub.poll(200):
            sub.recv_multipart()
        for number in range(20):
            encoder.send_multipart([b"gate", b"%d" % number])
            assert sub.poll(5000)
            assert sub.recv_multipart() == [b"gate", b"%d" % number]
        assert encoder.recv() == b"\x01"
        assert encoder.poll(0) == 0
