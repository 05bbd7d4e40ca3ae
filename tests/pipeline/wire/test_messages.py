"""Messages: what is sent arrives, and what does not fit is refused before it does harm."""

import os
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from icstream.model import CAMVID, Fit, Geometry
from icstream.pipeline.settings.publish import PublishSettings
from icstream.pipeline.wire.headers import FROM_HUB, FROM_WORKER, write
from icstream.pipeline.wire.messages import (
    BeginEncode,
    Closed,
    Connected,
    Done,
    FromHub,
    FromWorker,
    Heartbeat,
    Message,
    PartRun,
    Pixels,
    StageSpan,
    Stop,
    WireError,
    WireFrame,
    Work,
)
from icstream.pipeline.wire.tasks import (
    DecodeTask,
    EncodeTask,
    PreprocessTask,
    task_from_json,
    task_to_json,
)
from icstream.stages import FrameMeta
from icstream.stages.decode.find import SourceSpec
from icstream.stages.sinks import EventRuleSettings, EventSettings, Part, RollingSettings

META = FrameMeta("drive", 7, -3003, Fraction(1001, 30000), (540, 960), "name")
SMALL = replace(META, size=(64, 96))
GEOMETRY = Geometry((540, 960), (540, 960), (545, 961))


@pytest.mark.parametrize(
    "message",
    [
        Done(
            "drive", 7, GEOMETRY, (Pixels("scores", "float32", (11, 69, 121), 64),), StageSpan(1, 2)
        ),
        Closed(3, {"masks": [Part("masks.mp4", 0, 3, (64, 96), "pts", Fraction(1, 25))]}),
        Heartbeat(1, 2, 0.5),
    ],
)
def test_a_message_from_a_worker_arrives_as_it_was(message: Message) -> None:
    assert FROM_WORKER.read(write(41, message)) == (41, message)


def test_a_message_to_a_worker_arrives_as_it_was() -> None:
    image = Pixels("image", "uint8", (540, 960, 3), None)
    for message in (
        Work(WireFrame(META, GEOMETRY, (image,)), (64, 128), True),
        BeginEncode([PartRun(META, 5)], META),
    ):
        assert FROM_HUB.read(write(0, message)) == (0, message)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xff\xff",
        b"no MessagePack",
        msgspec.msgpack.encode((1, 0, {"type": "Unknown"})),
        msgspec.msgpack.encode((1, 0, {"type": "Heartbeat", "num_sent": "many"})),
        msgspec.msgpack.encode(
            (1, 0, {"type": "Heartbeat", "num_sent": 1, "num_received": 1, "busy_s": 0, "more": 1})
        ),
        write(0, Connected())[:-1],
        write(0, Stop()),  # goes the other way
    ],
)
def test_what_is_no_message_is_refused(header: bytes) -> None:
    with pytest.raises(WireError, match="cannot be parsed"):
        FROM_WORKER.read(header)


def test_another_version_is_refused_by_its_number() -> None:
    later = msgspec.msgpack.encode((2, 0, {"type": "Connected"}))
    with pytest.raises(WireError, match="version 2, but this icstream uses version 1"):
        FROM_WORKER.read(later)


@pytest.mark.parametrize(
    ("shape", "offset"),
    [
        ((0, 1, 3), None),
        ((2**20, 2**20, 3), None),
        ((-1, 4, 3), None),
        ((4, 4), 0),
        ((4, 4, 3), -1),
    ],
)
def test_arrays_that_cannot_be_are_refused_before_they_are_allocated(
    shape: tuple[int, ...], offset: int | None
) -> None:
    good = write(
        0, Done("s", 0, GEOMETRY, (Pixels("prepared", "uint8", (4, 4, 3), 0),), StageSpan(0, 1))
    )
    body = msgspec.msgpack.decode(good)
    body[2]["arrays"] = [["prepared", "uint8", shape, offset]]
    with pytest.raises(WireError):
        FROM_WORKER.read(msgspec.msgpack.encode(body))


def test_a_task_arrives_as_it_was() -> None:
    task = EncodeTask(
        folder=Path("out/drive"),
        labels=CAMVID,
        source=None,
        sinks=["masks"],
        num_done=None,
        settings={"other": {"level": 3}},
        rolling=RollingSettings(file_bytes=7),
        events=EventSettings(
            rules=(EventRuleSettings(name="crowd", class_name="Pedestrian", above=0.3),)
        ),
        publish=PublishSettings(clients=Path("keys")),
        masks="",
        view=None,
        max_side=0,
    )
    assert task_from_json(EncodeTask, task_to_json(task)) == task


def test_names_in_tasks_may_hold_bytes_that_are_not_utf_8() -> None:
    path = Path(os.fsdecode(b"caf\xe9.mp4"))
    task = DecodeTask(
        spec=SourceSpec("caf_", "video", (path,), "caf", address=f"crash:{path}"),
        threads=1,
        num_loops=1,
        preprocess=PreprocessTask(Fit(), (1, 2, 3)),
        live=None,
    )
    text = task_to_json(task)
    assert text.isascii()
    assert task_from_json(DecodeTask, text) == task


@pytest.mark.parametrize(
    ("direction", "heading"), [(FromWorker, "from a worker"), (FromHub, "from the hub")]
)
def test_the_page_on_architecture_lists_every_message(direction: object, heading: str) -> None:
    page = (Path(__file__).parents[3] / "docs" / "architecture.md").read_text()
    table = page.partition(f"| {heading} |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    assert listed == {message.__name__ for message in get_args(direction)}
