"""The publish worker: takes masks from encode workers and hands them to subscribers."""

import threading
from pathlib import Path

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from icstream.model import ConfigError
from icstream.pipeline.wire.connection import WorkerConnection
from icstream.pipeline.wire.messages import Ready
from icstream.pipeline.wire.tasks import PublishTask, task_from_json


def forward_masks(connection: WorkerConnection) -> None:
    """Hand messages from the encode workers to subscribers until the run is over."""
    task = task_from_json(PublishTask, connection.task.encode())
    settings = task.settings
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    encoders, subscribers = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
    encoders.setsockopt(zmq.RCVHWM, settings.queue)
    subscribers.setsockopt(zmq.SNDHWM, settings.queue)
    if settings.secret_key_file is not None and settings.clients is not None:
        authenticator = ThreadAuthenticator(context)
        authenticator.start()
        authenticator.configure_curve(domain="*", location=str(settings.clients))
        public, secret = load_keys(settings.secret_key_file)
        subscribers.curve_publickey, subscribers.curve_secretkey = public, secret
        subscribers.curve_server = True
    encoders.bind(task.masks)
    subscribers.bind(settings.address)
    threading.Thread(target=zmq.proxy, args=(encoders, subscribers), daemon=True).start()
    connection.link.send(Ready())
    connection.wait_for_stop()


def load_keys(file: Path) -> tuple[bytes, bytes]:
    """Return public and secret key in a CURVE certificate.

    Raises:
        ConfigError: they are not in it.
    """
    try:
        public, secret = zmq.auth.load_certificate(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"output.publish.secret_key_file {file}: {error}") from error
    if secret is None:
        raise ConfigError(f"output.publish.secret_key_file {file}: no secret key in it")
    return public, secret
