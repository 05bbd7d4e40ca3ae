"""A sink in a package of its own, which records the share of road in each frame.

pip install ./examples/road_alarm
icstream run drive.mp4 --weights streets --sink road_alarm -o out
"""

from icstream.stages import FrameMeta, SegmentedFrame
from icstream.stages.sinks import Part, SinkContext

LEAST_SHARE = 0.2


class RoadAlarm:
    """A sink that writes one line per frame to road_alarm.txt, with ALARM for too little road."""

    wants_image = False
    num_held_back = 0  # every line is written before the next frame

    def __init__(self, context: SinkContext) -> None:
        self._path = context.folder / "road_alarm.txt"
        self._road = [name.lower() for name in context.labels.names].index("road")
        self._first: FrameMeta | None = None
        self._num_frames = 0
        self._written = False

    @property
    def parts(self) -> list[Part]:
        """The frames that were examined, for the report."""
        if self._first is None:
            return []
        return [Part.beginning(self._path.name, self._first, num_frames=self._num_frames)]

    def restart_point(self, at_most: int) -> int:
        """Return the number of complete lines of an earlier run."""
        if not self._path.exists():
            return 0
        return min(at_most, self._path.read_bytes().count(b"\n"))

    def skip(self, first: FrameMeta, num_frames: int) -> None:
        """Keep the lines of these frames."""
        self._first = self._first or first
        self._num_frames += num_frames

    def begin_part(self) -> None:
        """Do nothing, as nothing depends on the format here."""

    def write(self, frame: SegmentedFrame) -> None:
        """Write the line of a frame."""
        if not self._written:
            self._cut_back()
        self._first = self._first or frame.meta
        self._num_frames += 1
        share = (frame.class_ids == self._road).mean()
        alarm = " ALARM" if share < LEAST_SHARE else ""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"frame {frame.meta.index}: {100 * share:.1f} % road{alarm}\n")

    def close(self) -> None:
        """Do nothing, as no file is kept open."""

    def _cut_back(self) -> None:
        """Keep only the lines of skipped frames, none in a new run."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._path.read_text(encoding="utf-8") if self._num_frames else ""
        kept = lines.splitlines(keepends=True)[: self._num_frames]
        self._path.write_text("".join(kept), encoding="utf-8")
        self._written = True
