"""The hub's side of the view: its sockets, its process, and its status messages."""

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Self

import zmq

from icstream.pipeline.http.listen import Listener
from icstream.pipeline.hub.processes import Processes
from icstream.pipeline.hub.stream_state import StreamState
from icstream.pipeline.hub.supervisor import Supervisor
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.plan.inference import Inference
from icstream.pipeline.settings.run import ViewSettings
from icstream.pipeline.view.listen import check_packages, open_listener
from icstream.pipeline.view.snapshot import SnapshotTaker
from icstream.pipeline.view.status import write_status
from icstream.pipeline.wire.tasks import InheritedSocket, ViewTask, task_to_json

log = logging.getLogger(__name__)

_STATUS_EVERY_S = 0.25
_MAX_SHARE = 0.05
"""Largest share of the hub's time for the status; with very many streams it is sent less often."""


class ViewLauncher:
    """Opens the view's sockets and starts its process, as a context manager.

    Nothing here waits for that process: a status that it does not read is discarded.
    """

    def __init__(self, settings: ViewSettings) -> None:
        """Listen at the addresses in the settings, if any.

        Raises:
            ConfigError: an address cannot be used, or a package is missing.
        """
        self._settings = settings
        self._token = settings.token.get_secret_value() if settings.token else None
        self._listeners: dict[str, Listener] = {}
        self._snapshots: SnapshotTaker | None = None
        self._status: zmq.Socket[bytes] | None = None
        self._endpoints = ("", "")
        self._next_status = 0.0
        self.wanted = settings.show or settings.metrics_address is not None
        """Whether the view or the metrics are served."""
        if self.wanted:
            check_packages()
        addresses = {
            "address": settings.address if settings.show else None,
            "metrics_address": settings.metrics_address,
        }
        with ExitStack() as opened:  # closed again if one of the addresses cannot be used
            for setting, address in addresses.items():
                if address is not None:
                    listener = open_listener(f"view.{setting}", address, token=self._token)
                    opened.enter_context(listener.socket)
                    self._listeners[setting] = listener
            self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
            opened.callback(self._context.destroy, linger=0)
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def open(self, folder: str, inference: Inference) -> None:
        """Open the sockets for status and frames, in a folder that only this user can enter."""
        if not self.wanted:
            return
        self._snapshots = SnapshotTaker(inference)
        self._endpoints = f"ipc://{folder}/status", f"ipc://{folder}/frames"
        self._status = self._context.socket(zmq.PUB)
        self._status.setsockopt(zmq.SNDHWM, 2)
        self._status.bind(self._endpoints[0])
        for setting, title in (("address", "live view"), ("metrics_address", "metrics")):
            if setting in self._listeners:
                log.info("%s: %s/", title, self._listeners[setting].url)

    @property
    def frames(self) -> str | None:
        """The endpoint to which encode workers offer frames, or None without a page."""
        return self._endpoints[1] if "address" in self._listeners else None

    def start(self, processes: Processes) -> Worker:
        """Start the server's process, or a replacement of a lost one."""
        sockets = {
            setting: InheritedSocket(listener.socket.fileno(), listener.loopback)
            for setting, listener in self._listeners.items()
        }
        status, frames = self._endpoints
        task = ViewTask(
            page=sockets.get("address"),
            metrics=sockets.get("metrics_address"),
            token=self._token,
            status=status,
            frames=frames,
            rate=self._settings.frames_per_second,
        )
        fds = [inherited.fd for inherited in sockets.values()]
        return processes.start("view", "server", task_to_json(task), threads=1, fds=fds)

    def publish_status(
        self, streams: Sequence[StreamState], supervisor: Supervisor, *, over: bool = False
    ) -> None:
        """Send the status of the run to the view, if it is due.

        Args:
            streams: the streams that have begun.
            supervisor: the supervisor of the run's processes.
            over: whether the run has ended, so that the status is sent at once.
        """
        now = time.monotonic()
        if self._status is None or self._snapshots is None:
            return
        if now < self._next_status and not over:
            return
        status = self._snapshots.take(
            streams, supervisor.processes, restarts=supervisor.num_lost, over=over
        )
        with suppress(zmq.Again):
            self._status.send(write_status(status), zmq.NOBLOCK)
        took = time.monotonic() - now
        self._next_status = now + max(_STATUS_EVERY_S, took / _MAX_SHARE)
