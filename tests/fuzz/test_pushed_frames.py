"""A camera that programs push frames into: nonsense on its socket costs nothing but itself."""

import random
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from icstream.pipeline.live.zmq_source import MAGIC
from icstream.stages import FrameAccounting
from icstream.stages.live import LiveFrame, LostFrame
from support.clips import moving_image
from support.fuzz.edits import drawn_edits, edited
from support.pushing import pushing

IMAGE = moving_image(0, (32, 48))
NUM_DAMAGED = 200


def damaged_messages(parts: list[bytes]) -> Iterator[list[bytes]]:
    """Yield messages of which a part or the number of parts is not as it should be."""
    dice = random.Random(4)
    for number in range(NUM_DAMAGED):
        message = list(parts)
        place = number % 3
        message[place] = edited(message[place], drawn_edits(dice))
        if number % 5 == 0:
            message.insert(dice.randrange(4), b"")
        elif number % 7 == 0:
            del message[dice.randrange(3)]
        yield message


@pytest.mark.parametrize("encoding", ["rgb", "jpeg"])
def test_damaged_messages_are_counted_and_the_next_frame_comes(
    encoding: str, tmp_path: Path
) -> None:
    jpeg = cv2.imencode(".jpg", IMAGE)[1].tobytes()
    header = f'{{"size":[32,48],"encoding":"{encoding}","pts":40,"time_base":"1/1000"}}'
    sound = [MAGIC, header.encode(), IMAGE.tobytes() if encoding == "rgb" else jpeg]
    accounting = FrameAccounting()
    with pushing(tmp_path, accounting) as (sender, things):
        for message in damaged_messages(sound):
            sender.send_multipart(message)
            sender.send_multipart(sound)
            received = accounting.packets
            found: list[LiveFrame | LostFrame] = []
            while accounting.packets < received + 2:
                thing = next(things)
                found += [] if thing is None else [thing]
            last = found[-1]
            assert isinstance(last, LiveFrame)
            assert last.size == (32, 48)
    assert accounting.packets == 2 * NUM_DAMAGED
    assert list(accounting.undecodable) == ["damaged message"]
