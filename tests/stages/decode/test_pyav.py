from fractions import Fraction
from pathlib import Path

import av
import pytest

from icstream.model import SourceError
from icstream.stages.decode.pyav import exact_ratio, open_for_reading
from icstream.stages.decode.recording import Recording
from support.clips import make_clip


class Ratio19:
    """A ratio as PyAV 19 has it: false where it is unset, and no `Fraction`."""

    def __init__(self, numerator: int, denominator: int) -> None:
        self.numerator, self.denominator = numerator, denominator

    def __bool__(self) -> bool:
        return bool(self.numerator and self.denominator)

    def __repr__(self) -> str:
        return f"{self.numerator}:{self.denominator}"


@pytest.mark.parametrize("ratio", [Fraction(1001, 30000), Ratio19(1001, 30000)])
def test_ratios_of_either_version_are_exact(ratio: Fraction | Ratio19) -> None:
    exact = exact_ratio(ratio)
    assert type(exact) is Fraction
    assert exact * exact == Fraction(1001**2, 30000**2)  # of more than 32 bits


@pytest.mark.parametrize(
    "ratio", [None, Fraction(0), Ratio19(0, 1), Ratio19(0, 0), Ratio19(1, 0)], ids=repr
)
def test_unset_ratios_are_none(ratio: Fraction | Ratio19 | None) -> None:
    assert exact_ratio(ratio) is None


def test_ratios_of_the_installed_version_are_fractions(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=(0, 1001, 2002), time_base=Fraction(1, 30000))
    with open_for_reading(str(clip)) as file:
        stream = file.streams.video[0]
        assert exact_ratio(stream.time_base) == Fraction(1, 30000)
        # Three frames, of which the last lasts for 1/25 s, the rate that the encoder was given.
        assert exact_ratio(stream.average_rate) == Fraction(3 * 30000, 2002 + 1200)
        assert type(exact_ratio(stream.time_base)) is Fraction
    assert exact_ratio(av.VideoFrame(16, 16, "rgb24").time_base) is None


def test_metadata_that_is_not_utf8_keeps_nothing_from_being_read(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", pts=range(3), metadata={"title": "caf@"})
    data = clip.read_bytes()
    assert data.count(b"caf@") == 1
    clip.write_bytes(data.replace(b"caf@", b"caf\xe9"))
    with Recording(clip) as recording:
        title = recording.container.metadata["title"]
        assert title in ("caf\N{REPLACEMENT CHARACTER}", "caf\udce9")  # of PyAV 18, of PyAV 19
        assert len(list(recording.packets(recording.container.streams.video[0]))) == 3


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(SourceError, match="not a video that FFmpeg can read"):
        Recording(tmp_path / "a.mp4")
