"""Print the masks that arrive from a run, and the number of missed ones.

icstream run drive.mp4 --sink publish -o out
python examples/subscribe.py tcp://127.0.0.1:8788
"""

import json
import sys

import numpy as np
import zmq


def main() -> None:
    """Subscribe to every stream at the address named on the command line."""
    due: dict[str, int] = {}
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.setsockopt(zmq.RCVHWM, 4)  # drop frames rather than fall behind
        socket.subscribe(b"")  # or the name of a stream
        socket.connect(sys.argv[1])
        while True:
            _, header, pixels = socket.recv_multipart()
            frame = json.loads(header)
            stream, sequence = frame["stream"], frame["sequence"]
            missed = max(0, sequence - due.get(stream, sequence))
            due[stream] = sequence + 1
            ids = np.frombuffer(pixels, np.uint8).reshape(frame["size"])
            most = frame["classes"][int(np.bincount(ids.ravel()).argmax())]
            print(f"{stream} frame {frame['index']}: mostly {most}, {missed} missed", flush=True)


if __name__ == "__main__":
    main()
