"""Push frames of a rendered street into a running icstream.

icstream run zmq://127.0.0.1:5555 -o out
python examples/push_frames.py tcp://127.0.0.1:5555
"""

import argparse
import json
import time

import zmq

from icstream.stages.streets import Street


def main() -> None:
    """Send frames of a street at a constant rate, each with its time."""
    parser = argparse.ArgumentParser(description="Push frames into icstream.")
    parser.add_argument("endpoint", help="tcp://127.0.0.1:PORT or ipc:///PATH")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rate", type=float, default=10)
    parser.add_argument("--stay", action="store_true", help="do not mark the last frame")
    arguments = parser.parse_args()
    street = Street(7, size=(240, 320))
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.setsockopt(zmq.SNDHWM, 4)
        socket.connect(arguments.endpoint)
        for number in range(arguments.frames):
            pts = round(1000 * number / arguments.rate)
            image, _ = street.render(pts / 1000)
            header = {"size": image.shape[:2], "pts": pts, "number": number}
            socket.send_multipart([b"icstream-frame-1", json.dumps(header).encode(), image.data])
            time.sleep(1 / arguments.rate)
        if not arguments.stay:
            socket.send_multipart([b"icstream-frame-1", b'{"end": true}'])


if __name__ == "__main__":
    main()
