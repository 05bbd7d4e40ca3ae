"""One worker process: `python -m icstream.pipeline.workers.main KIND WHICH`.

`Processes.start` starts it and writes its task to its standard input. It ends when the hub sends
`Stop`, or with its parent.
"""

import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import Literal

import zmq

from icstream.model import ConfigError, SourceError
from icstream.model.orphans import end_with_parent
from icstream.model.renamed import log_renamed
from icstream.model.shown import printable
from icstream.pipeline.wire.connection import Stopped, WorkerConnection
from icstream.pipeline.wire.headers import write
from icstream.pipeline.wire.messages import Connected, Fault, Heartbeat
from icstream.pipeline.wire.shared_memory import ArenaView
from icstream.pipeline.wire.sockets import WorkerLink, connect_to_hub
from icstream.pipeline.wire.worker_names import heartbeat_name
from icstream.pipeline.workers.kinds import WORKER_KINDS

_HEARTBEAT_EVERY_S = 0.25
_STOP_WAIT_S = 30.0
"""Longest time, in seconds, that a worker with a fault waits for the hub to end it."""
_LINGER_S = 1.0
"""Longest time, in seconds, for a crashing worker to send its last messages."""


def main() -> None:
    """Run the worker, and end the process whatever library threads are still running."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(
            number, signal.SIG_IGN
        )  # the hub receives them too, and ends the workers in order
    kind = sys.argv[1]
    startup = json.load(sys.stdin)
    end_with_parent(startup["parent"])
    _log_as_json()
    _limit_opencv_threads()
    name, endpoint = bytes.fromhex(startup["name"]), startup["endpoint"]
    memory = None if startup["arena_fd"] is None else ArenaView(startup["arena_fd"])
    connection = WorkerConnection(WorkerLink(endpoint, name), memory, startup["task"])
    if kind in ("decode", "preprocess", "encode"):
        _schedule_as_batch()
    connection.link.send(Connected())
    heartbeats = threading.Thread(
        target=_send_heartbeats, args=(connection, endpoint, name), daemon=True
    )
    heartbeats.start()
    code = 0
    try:
        WORKER_KINDS[kind](connection)
    except Stopped:
        pass
    except (SourceError, ConfigError, OSError) as error:
        _report_fault(connection, error)
    except Exception:
        traceback.print_exc()
        connection.link.close(linger_s=_LINGER_S)
        code = 1
    sys.stderr.flush()
    os._exit(code)


def _report_fault(connection: WorkerConnection, error: Exception) -> None:
    """Report to the hub why the worker cannot continue, and wait for the end."""
    text = str(error)
    kind: Literal["config", "source", "output"] = "config"
    if isinstance(error, SourceError):
        kind = "source"
    elif isinstance(error, OSError):
        kind = "output" if sys.argv[1] == "encode" else "source"
        text = f"{error.filename or sys.argv[2]}: {error.strerror or error}"
    connection.link.send(Fault(kind, printable(text), connection.parts))
    deadline = time.monotonic() + _STOP_WAIT_S
    with suppress(Stopped):
        while time.monotonic() < deadline:
            connection.receive()


def _send_heartbeats(connection: WorkerConnection, endpoint: str, name: bytes) -> None:
    """Send a heartbeat every quarter of a second, forever."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.ROUTING_ID, heartbeat_name(name))
        socket.setsockopt(zmq.LINGER, 0)
        connect_to_hub(socket, endpoint)
        number = 0
        while True:
            since = connection.busy_since
            busy_s = 0.0 if since is None else time.monotonic() - since
            with suppress(zmq.Again):
                socket.send(
                    write(
                        number,
                        Heartbeat(connection.link.num_sent, connection.link.num_received, busy_s),
                    ),
                    zmq.NOBLOCK,
                )
                number += 1
            time.sleep(_HEARTBEAT_EVERY_S)


def _limit_opencv_threads() -> None:
    import cv2

    cv2.setNumThreads(1)


def _schedule_as_batch() -> None:
    """Schedule this thread as a batch thread, which delays its wake-up by a few milliseconds.

    The network then loses its data in the CPU's caches less often. The thread that sends messages
    is not affected, because it exists already.
    """
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _log_as_json() -> None:
    """Write log records as JSON lines to standard error, where the hub reads them."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("icstream").setLevel(logging.INFO)
    # The run has logged the runtime already; every replica would log it again.
    logging.getLogger("icstream.model.runtimes").setLevel(logging.WARNING)
    log_renamed()


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return json.dumps({"log": {"name": record.name, "level": record.levelno, "text": text}})


if __name__ == "__main__":
    main()
