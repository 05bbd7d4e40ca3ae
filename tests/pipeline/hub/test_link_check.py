"""Whether messages between hub and workers are missed."""

import pytest

from icstream.pipeline.hub import link_check
from icstream.pipeline.hub.link_check import LinkCheck
from icstream.pipeline.hub.worker import Worker
from icstream.pipeline.wire.messages import Heartbeat, WireError


def ready_worker() -> Worker:
    return Worker("segment", "segment 0", b"name", ready=True)


def test_a_gap_in_the_numbers_is_seen() -> None:
    links, worker = LinkCheck(), ready_worker()
    links.check_number(worker, 0)
    links.check_number(worker, 1)
    with pytest.raises(WireError, match="received message 3 instead of 2"):
        links.check_number(worker, 3)


@pytest.mark.parametrize(
    ("num_sent", "num_received", "busy_s", "is_missed"),
    [
        (1, 2, 0, False),
        (2, 2, 0, True),
        (1, 1, 0, True),
        (1, 1, 0.5, False),  # one that is busy reads nothing
    ],
)
def test_heartbeats_show_what_no_other_message_follows(
    monkeypatch: pytest.MonkeyPatch,
    num_sent: int,
    num_received: int,
    busy_s: float,
    is_missed: bool,
) -> None:
    monkeypatch.setattr(link_check, "_MAX_ON_THE_WAY_S", -1)
    links, worker = LinkCheck(), ready_worker()
    links.check_number(worker, 0)
    assert [links.next_number(worker) for _ in range(2)] == [0, 1]
    heartbeat = Heartbeat(num_sent, num_received, busy_s)
    if is_missed:
        with pytest.raises(WireError, match="1 messages did not arrive"):
            links.check_heartbeat(worker, heartbeat)
    else:
        links.check_heartbeat(worker, heartbeat)


def test_a_message_on_its_way_is_not_missed() -> None:
    links, worker = LinkCheck(), ready_worker()
    links.next_number(worker)
    links.check_heartbeat(worker, Heartbeat(0, 0, 0))
    links.check_heartbeat(worker, Heartbeat(0, 0, 0))
