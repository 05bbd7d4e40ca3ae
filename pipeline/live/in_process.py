"""A live source for use without worker processes."""

import threading
from collections.abc import Iterator
from typing import Self

from icstream.pipeline.live.open_camera import camera_opener
from icstream.pipeline.live.reconnecting_source import PendingFrame, ReconnectingSource
from icstream.pipeline.plan.live import LivePlan
from icstream.pipeline.wire.messages import ResumeState, SourceAccounting, SourceChanged
from icstream.stages import End, Frame, FrameAccounting, Item
from icstream.stages.decode.find import SourceSpec


class LiveSource:
    """A live source that yields every frame and drops none."""

    def __init__(self, spec: SourceSpec, *, accounting: FrameAccounting) -> None:
        """Prepare to read; the connection is opened for the first frame.

        Args:
            spec: the specification of the stream.
            accounting: the accounting of the stream.
        """
        plan = LivePlan()
        self._name = spec.name
        self._accounting = accounting
        self._stop = threading.Event()
        self._source = ReconnectingSource(
            spec.name,
            camera_opener(spec, plan.settings, accounting, threads=1),
            plan=plan,
            accounting=accounting,
            before=ResumeState(SourceAccounting.of(accounting), None, 0),
            stop=self._stop,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def __iter__(self) -> Iterator[Item]:
        """Yield the items in the order of their arrival."""
        for item in self._source:
            if isinstance(item, PendingFrame):
                self._accounting.in_flight += 1
                yield Frame(item.meta, item.to_rgb())
            elif not isinstance(item, SourceChanged):
                yield item
        yield End(self._name)
