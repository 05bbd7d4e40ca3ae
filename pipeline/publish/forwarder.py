"""The publish worker, which forwards masks from encode workers to subscribers."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from icstream.model import ConfigError
from icstream.pipeline.settings.publish import PublishSettings
from icstream.pipeline.wire.bind import BoundEndpoint
from icstream.pipeline.wire.connection import WorkerConnection
from icstream.pipeline.wire.gate import Gate
from icstream.pipeline.wire.messages import Ready
from icstream.pipeline.wire.tasks import PublishTask, task_from_json
from icstream.pipeline.wire.zmtp import SubscriberLimit

_MAX_SUBSCRIBERS = 256
_MAX_TOPICS = 1000
"""Most topics of one subscriber; a topic is the name of a stream, or its beginning."""
_MAX_TOPIC_BYTES = 1024


def forward_masks(connection: WorkerConnection) -> None:
    """Forward messages from the encode workers to subscribers until the run ends."""
    task = task_from_json(PublishTask, connection.task.encode())
    forwarder = MaskForwarder(task.settings, task.masks)
    threading.Thread(target=forwarder.run, daemon=True).start()
    connection.link.send(Ready())
    try:
        connection.wait_for_stop()
    finally:
        forwarder.release()


class MaskForwarder:
    """Forwards masks while there are connections.

    Encode workers see connections rather than subscriptions, so what one subscriber requests or
    cancels does not affect the others.
    """

    def __init__(self, settings: PublishSettings, masks: str) -> None:
        """Bind the sockets.

        Args:
            settings: the settings of the sink.
            masks: the endpoint for the encode workers.

        Raises:
            OSError: the address for subscribers cannot be used; `strerror` contains the reason.
        """
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._encoders, self._subscribers = context.socket(zmq.SUB), context.socket(zmq.PUB)
        self._encoders.setsockopt(zmq.RCVHWM, settings.queue)
        self._subscribers.setsockopt(zmq.SNDHWM, settings.queue)
        self._encoders.bind(masks)
        self._connected: set[int] = set()
        """Descriptors of the connections."""
        events = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED
        self._monitor = self._subscribers.get_monitor_socket(events)
        self._bound = self._bind(context, settings)

    def run(self) -> None:
        """Forward messages, forever."""
        poller = zmq.Poller()
        poller.register(self._encoders, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._monitor in ready:
                self._count(recv_monitor_message(self._monitor))
            if self._encoders in ready:
                parts = self._encoders.recv_multipart(copy=False)
                # Processes what was sent meanwhile; otherwise the queue would be taken as full.
                self._subscribers.getsockopt(zmq.EVENTS)
                self._subscribers.send_multipart(parts, copy=False)

    def release(self) -> None:
        """Release the address; the sockets end with the process."""
        self._bound.release()

    def _bind(self, context: "zmq.Context[Any]", settings: PublishSettings) -> Gate | BoundEndpoint:
        """Bind the socket for subscribers, behind a gate if there are no keys."""
        if settings.secret_key_file is None or settings.clients is None:
            return Gate(
                self._subscribers,
                settings.address,
                make_check=lambda _: SubscriberLimit(
                    max_topics=_MAX_TOPICS, max_topic_bytes=_MAX_TOPIC_BYTES
                ),
                max_peers=_MAX_SUBSCRIBERS,
            )
        authenticator = ThreadAuthenticator(context)
        authenticator.start()
        authenticator.configure_curve(domain="*", location=str(settings.clients))
        public, secret = load_keys(settings.secret_key_file)
        self._subscribers.curve_publickey, self._subscribers.curve_secretkey = public, secret
        self._subscribers.curve_server = True
        return BoundEndpoint(self._subscribers, settings.address)

    def _count(self, event: Mapping[str, Any]) -> None:
        """Subscribe to the encode workers while there are connections."""
        before = bool(self._connected)
        if event["event"] == zmq.EVENT_ACCEPTED:
            self._connected.add(event["value"])
        else:
            self._connected.discard(event["value"])
        if self._connected and not before:
            self._encoders.subscribe(b"")
        elif before and not self._connected:
            self._encoders.unsubscribe(b"")


def load_keys(file: Path) -> tuple[bytes, bytes]:
    """Return the public and the secret key in a CURVE certificate.

    Raises:
        ConfigError: the file cannot be read, or has no secret key.
    """
    try:
        public, secret = zmq.auth.load_certificate(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"output.publish.secret_key_file {file}: {error}") from error
    if secret is None:
        raise ConfigError(f"output.publish.secret_key_file {file}: contains no secret key")
    return public, secret
