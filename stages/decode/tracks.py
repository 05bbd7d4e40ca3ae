"""Selection among the video tracks of a recording."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import av
from av.video.stream import VideoStream

from icstream.model import SourceError
from icstream.model.shown import escape
from icstream.stages.decode.find import SourceSpec
from icstream.stages.decode.packet_tracker import find_video_streams
from icstream.stages.decode.recording import Recording

Track: TypeAlias = int | Literal["auto", "all"]
"""A track's number among the video tracks, from 0; auto for the one that players show; or all."""

_DEFAULT_IS_WORTH_PIXELS = 5_000_000
"""The pixels that FFmpeg adds to the size of a track that is marked as the default."""


def choose_track(tracks: Sequence[VideoStream], number: int | None, *, name: str) -> VideoStream:
    """Return the track with a number, or by default the one that the program `ffmpeg` selects.

    Raises:
        SourceError: There is no track with that number.
    """
    if number is None:
        return max(tracks, key=_score)  # the first of equals
    if number >= len(tracks):
        last = len(tracks) - 1
        raise SourceError(f"{name}: there is no video track {number}; the last is track {last}")
    return tracks[number]


def describe_choice(tracks: Sequence[VideoStream], chosen: VideoStream, path: Path) -> str | None:
    """Return a sentence about the tracks that are not read, or None if there are none."""
    others = [
        f"{number} ({_describe(track)})"
        for number, track in enumerate(tracks)
        if track is not chosen
    ]
    if not others:
        return None
    return (
        f"of its {len(tracks)} video tracks, {tracks.index(chosen)} ({_describe(chosen)}) is read;"
        f" left out: {', '.join(others)}; {escape(path.name)}#N reads track N, and source.track=all"
        " each of them"
    )


def select_tracks(spec: SourceSpec, track: Track) -> list[SourceSpec]:
    """Return the streams of one source: for a recording, one for each selected track."""
    if spec.kind != "video" or spec.track is not None or track == "auto":
        return [spec]
    if track != "all":
        return [spec.of_track(track)]
    try:
        with Recording(spec.paths[0]) as recording:
            num_tracks = len(find_video_streams(recording.container, name=spec.given))
    except SourceError:
        return [spec]  # opening it raises the error
    return [spec.of_track(number) for number in range(num_tracks)] if num_tracks > 1 else [spec]


def _score(track: VideoStream) -> int:
    is_default = bool(track.disposition & av.stream.Disposition.default)
    return track.width * track.height + is_default * _DEFAULT_IS_WORTH_PIXELS


def _describe(track: VideoStream) -> str:
    return f"{track.codec_context.name} {track.width}x{track.height}"
