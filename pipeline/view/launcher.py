"""The hub's side of the view: listens, starts the server's process, tells how the run goes."""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

import zmq

from icstream.pipeline.hub.processes import Processes, Worker
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.supervisor import Supervisor
from icstream.pipeline.plan.inference import Inference
from icstream.pipeline.settings.run import ViewSettings
from icstream.pipeline.view.listen import Listener, check_packages, listen
from icstream.pipeline.view.snapshot import SnapshotTaker
from icstream.pipeline.view.status import write_status
from icstream.pipeline.wire.tasks import InheritedSocket, ViewTask, task_to_json

log = logging.getLogger(__name__)

_TELL_EVERY_S = 0.25


class ViewLauncher:
    """What the hub has of the view; to be used as a context manager.

    The hub never waits for it: figures that nobody takes are thrown away.
    """

    def __init__(self, settings: ViewSettings) -> None:
        """Listens where the settings say, if they do.

        Raises:
            ConfigError: an address cannot be used, or a package is missing.
        """
        self._settings = settings
        self._token = settings.token.get_secret_value() if settings.token else None
        self._doors: dict[str, Listener] = {}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._observer: SnapshotTaker | None = None
        self._status: zmq.Socket[bytes] | None = None
        self._endpoints = ("", "")
        self._next_tell = 0.0
        self.wanted = settings.show or settings.metrics_address is not None
        """Whether there is anything to be seen."""
        if self.wanted:
            check_packages()
        addresses = {
            "address": settings.address if settings.show else None,
            "metrics_address": settings.metrics_address,
        }
        for setting, address in addresses.items():
            if address is not None:
                door = listen(f"view.{setting}", address, token=self._token)
                self._doors[setting] = door

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for door in self._doors.values():
            door.socket.close()
        self._context.destroy(linger=0)

    def open(self, folder: str, inference: Inference) -> None:
        """Gets ready to tell, through sockets in a folder that only this user can enter."""
        if not self.wanted:
            return
        self._observer = SnapshotTaker(inference)
        self._endpoints = f"ipc://{folder}/status", f"ipc://{folder}/frames"
        self._status = self._context.socket(zmq.PUB)
        self._status.setsockopt(zmq.SNDHWM, 2)
        self._status.bind(self._endpoints[0])
        for setting, what in (("address", "live view"), ("metrics_address", "metrics")):
            if setting in self._doors:
                log.info("%s: %s", what, self._doors[setting].url)

    @property
    def frames(self) -> str | None:
        """Endpoint to which encode workers offer frames; None if nobody wants them."""
        return self._endpoints[1] if "address" in self._doors else None

    def start(self, processes: Processes) -> Worker:
        """Starts the server's process, or another in the place of a lost one."""
        doors = {
            setting: InheritedSocket(door.socket.fileno(), door.loopback)
            for setting, door in self._doors.items()
        }
        task = ViewTask(
            doors.get("address"),
            doors.get("metrics_address"),
            self._token,
            *self._endpoints,
            self._settings.frames_per_second,
        )
        fds = [door.fd for door in doors.values()]
        return processes.start("view", "server", task_to_json(task), threads=1, fds=fds)

    def tell(
        self, streams: Sequence[StreamState], supervisor: Supervisor, *, over: bool = False
    ) -> None:
        """Tells how the run is going, if it is time to."""
        now = time.monotonic()
        if self._status is None or self._observer is None or (now < self._next_tell and not over):
            return
        self._next_tell = now + _TELL_EVERY_S
        status = self._observer.take(
            streams, supervisor.processes, restarts=supervisor.num_lost, over=over
        )
        with suppress(zmq.Again):
            self._status.send(write_status(status), zmq.NOBLOCK)
