"""Which worker a socket belongs to."""

from icstream.pipeline.wire.worker_names import heartbeat_name, new_worker_name, worker_of


def test_both_sockets_of_a_worker_lead_to_it() -> None:
    name = new_worker_name()
    assert heartbeat_name(name) != name
    assert worker_of(name) == worker_of(heartbeat_name(name)) == name
    assert new_worker_name() != name
