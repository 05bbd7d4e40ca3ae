"""Who may speak to the hub."""

import zmq

from icstream.pipeline.wire.messages import Connected
from icstream.pipeline.wire.sockets import HubSocket, WorkerLink


def received(hub: HubSocket, *, wait_ms: int) -> list[bytes]:
    found = []
    while hub.socket.poll(wait_ms):
        message = hub.receive()
        assert message is not None
        found.append(message[0])
    return found


def test_over_tcp_the_hub_accepts_only_clients_with_its_password() -> None:
    hub = HubSocket("tcp://127.0.0.1:*")
    address, _, password = hub.endpoint.partition("#")
    assert len(password) == 32
    with zmq.Context() as context, context.socket(zmq.DEALER) as bare:
        bare.linger = 0
        bare.connect(address)
        bare.send_multipart([b"x"] * 10)
        guess = WorkerLink(f"{address}#{'0' * 32}", b"guess")
        guess.send(Connected())
        worker = WorkerLink(hub.endpoint, b"worker")
        worker.send(Connected())
        assert hub.socket.poll(10_000)
        assert received(hub, wait_ms=300) == [b"worker"]
        guess.close()
        worker.close()
    hub.close()
