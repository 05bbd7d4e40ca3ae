"""What a run says of streams of which nothing was written."""

from collections import Counter

import pytest

from icstream.pipeline.run.result import explain_empty_streams
from support.hub_parts import Workers


@pytest.mark.parametrize(
    ("dropped", "encoded", "reasons"),
    [
        ({"stale": 250, "stopped": 1}, 0, "stale"),
        ({"rate": 150, "stale": 101}, 0, "rate, stale"),
        ({"stale": 250}, 1, None),
        # The user has stopped it before anything was through.
        ({"stopped": 251}, 0, None),
    ],
)
def test_a_stream_of_which_nothing_was_written_has_an_error(
    dropped: dict[str, int], encoded: int, reasons: str | None
) -> None:
    stream = Workers().stream(is_live=True)
    stream.accounting.decoded = 251
    stream.accounting.dropped = Counter(dropped)
    stream.accounting.encoded = encoded
    explain_empty_streams([stream], stopped=True)
    wanted = f"x.mp4: none of the 251 frames was written ({reasons})"
    assert stream.error == (wanted if reasons else None)


def test_a_stream_without_frames_has_an_error_unless_it_was_stopped() -> None:
    streams = [Workers().stream(), Workers().stream()]
    explain_empty_streams(streams[:1], stopped=True)
    explain_empty_streams(streams[1:], stopped=False)
    assert [stream.error for stream in streams] == [None, "x.mp4: no frame could be decoded"]
