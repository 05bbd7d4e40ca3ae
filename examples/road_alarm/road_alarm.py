"""A sink of another package: writes down when little of the picture is road.

pip install ./examples/road_alarm
icstream run drive.mp4 --weights streets --sink road_alarm -o out
"""

from icstream.stages import ClassIds, Frame
from icstream.stages.sinks import Part, SinkContext

LEAST_SHARE = 0.2


class RoadAlarm:
    """Appends a line to road_alarm.txt for each frame with too little road in it."""

    wants_picture = False

    def __init__(self, context: SinkContext) -> None:
        self._path = context.folder / "road_alarm.txt"
        self._road = [name.lower() for name in context.labels.names].index("road")
        self._part: Part | None = None
        self._num_frames = 0

    @property
    def parts(self) -> list[Part]:
        """Gives what was looked at, for the report."""
        return [self._part] if self._part else []

    def restart_point(self, at_most: int) -> int:
        """Says that it cannot go on with an earlier run's file: everything is written again."""
        return 0

    def skip(self, frame: Frame) -> None:
        """Never called, as there is never anything to skip."""

    def begin_part(self) -> None:
        """Nothing depends on the format here."""

    def write(self, frame: Frame) -> None:
        """Looks at a frame."""
        assert isinstance(frame.result, ClassIds)
        self._num_frames += 1
        if self._part is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text("", encoding="utf-8")
        self._part = Part.beginning(self._path.name, frame.meta, num_frames=self._num_frames)
        share = (frame.result.ids == self._road).mean()
        if share < LEAST_SHARE:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"frame {frame.meta.index}: {100 * share:.1f} % road\n")

    def close(self) -> None:
        """Nothing is kept open."""
