"""One stage in a process of its own: `python -m icstream.pipeline.workers.main KIND WHICH`.

It is started by `Processes.start`, which tells it the rest through standard input, and ends when it
is told to, or with its parent.
"""

import ctypes
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress

import zmq

from icstream.model import ConfigError, SourceError
from icstream.pipeline.wire.connection import Stopped, WorkerConnection
from icstream.pipeline.wire.messages import Connected, Fault, Heartbeat, write
from icstream.pipeline.wire.shared_memory import ArenaView
from icstream.pipeline.wire.sockets import WorkerLink
from icstream.pipeline.wire.worker_names import heartbeat_name
from icstream.pipeline.workers.kinds import WORKER_KINDS

_BEAT_EVERY_S = 0.25
_FAREWELL_S = 30.0
"""How long a worker that gave up waits to be told to end."""
_LAST_WORDS_S = 1.0
"""How long a worker that fails tries to get rid of what it has made."""
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Runs the worker; the process ends here, whatever threads of libraries are still waiting."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the supervisor gets them too, and ends us in order
    told = json.load(sys.stdin)
    _end_with_parent(told["parent"])
    _log_as_json()
    _one_thread_each()
    name = bytes.fromhex(told["name"])
    memory = None if told["arena_fd"] is None else ArenaView(told["arena_fd"])
    connection = WorkerConnection(WorkerLink(told["endpoint"], name), memory, told["task"])
    if sys.argv[1] in ("decode", "preprocess", "encode"):
        _never_interrupt()
    connection.link.send(Connected())
    threading.Thread(target=_beat, args=(connection, told["endpoint"], name), daemon=True).start()
    code = 0
    try:
        WORKER_KINDS[sys.argv[1]](connection)
    except Stopped:
        pass
    except (SourceError, ConfigError, OSError) as error:
        _give_up(connection, error)
    except Exception:
        traceback.print_exc()
        connection.link.close(linger_s=_LAST_WORDS_S)
        code = 1
    sys.stderr.flush()
    os._exit(code)


def _give_up(connection: WorkerConnection, error: Exception) -> None:
    """Tells the hub why nothing more will come, and waits to be told to end."""
    text, kind = str(error), "config"
    if isinstance(error, SourceError):
        kind = "source"
    elif isinstance(error, OSError):
        kind = "output" if sys.argv[1] == "encode" else "source"
        text = f"{error.filename or sys.argv[2]}: {error.strerror or error}"
    connection.link.send(Fault(kind, text, connection.parts))  # type: ignore[arg-type]
    deadline = time.monotonic() + _FAREWELL_S
    with suppress(Stopped):
        while time.monotonic() < deadline:
            connection.receive()


def _beat(connection: WorkerConnection, endpoint: str, name: bytes) -> None:
    """Says every quarter of a second that the process lives."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.ROUTING_ID, heartbeat_name(name))
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(endpoint)
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
            time.sleep(_BEAT_EVERY_S)


def _end_with_parent(parent: int) -> None:
    """Has the system kill this process when the supervisor ends, however that may happen."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _one_thread_each() -> None:
    import cv2

    cv2.setNumThreads(1)


def _never_interrupt() -> None:
    """Has this thread wait for its turn when it wakes up, which is a few milliseconds at most.

    The network then loses its place in the processor's caches less often. The thread that sends
    messages is not held up: it is there already.
    """
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _log_as_json() -> None:
    """Writes log records as JSON lines to standard error, where the supervisor reads them."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("icstream").setLevel(logging.INFO)
    # Which engine it is, the run has said; every replica would say it again.
    logging.getLogger("icstream.model.runtimes").setLevel(logging.WARNING)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return json.dumps({"log": {"name": record.name, "level": record.levelno, "text": text}})


if __name__ == "__main__":
    main()
