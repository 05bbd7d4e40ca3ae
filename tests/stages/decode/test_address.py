"""What live sources are called, and what may be shown of their addresses."""

import pytest

from icstream.model import ConfigError
from icstream.stages.decode.address import zmq_endpoint
from icstream.stages.decode.find import find_sources


@pytest.mark.parametrize(
    ("argument", "name", "given"),
    [
        ("0", "cam0", "/dev/video0"),
        ("/dev/video2", "cam2", "/dev/video2"),
        ("/dev/v4l/by-id/usb-A_B-index0", "usb-A_B-index0", "/dev/v4l/by-id/usb-A_B-index0"),
        ("rtsp://host/a/b", "host_a_b", "rtsp://host/a/b"),
        ("rtsp://user:pa%40ss@host:554/a", "host_a", "rtsp://host:554/a"),
        ("rtsp://user:p/a#s?s@host/a", "host_a", "rtsp://host/a"),
        ("http://host:80/v.m3u8?token=secret", "host_v.m3u8", "http://host:80/v.m3u8"),
        ("http://host/cam?user=me@x.org&pwd=secret", "http", "http://"),
        ("udp://@:5000", "udp-5000", "udp://:5000"),
        ("zmq://127.0.0.1:5555", "127.0.0.1", "zmq://127.0.0.1:5555"),
        ("synthetic:rate=5", "synthetic", "synthetic:rate=5"),
    ],
)
def test_names_and_what_is_shown_hold_no_secrets(argument: str, name: str, given: str) -> None:
    (spec,) = find_sources([argument])
    assert (spec.kind, spec.name, spec.given) == ("live", name, given)
    assert spec.own_pace
    assert "user" not in repr(spec)
    assert "secret" not in repr(spec)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.2", "[::1]"])
def test_frames_may_be_sent_to_any_address_of_this_machine(host: str) -> None:
    assert zmq_endpoint(f"zmq://{host}:5555") == f"tcp://{host}:5555"


def test_cameras_that_clash_are_numbered() -> None:
    specs = find_sources(["rtsp://a:1/x", "rtsp://a:2/x", "0", "/dev/video0"])
    assert [spec.name for spec in specs] == ["a_x", "a_x-2", "cam0", "cam0-2"]


def test_recordings_on_web_servers_and_fast_synthetic_ones_wait_for_their_reader() -> None:
    specs = find_sources(["http://host/drive.mp4", "synthetic:pace=fast"])
    assert [spec.own_pace for spec in specs] == [False, False]


def test_secrets_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_LOGIN", "user:geheim")
    (spec,) = find_sources(["rtsp://${CAMERA_LOGIN}@host/a"])
    assert (spec.address, spec.given) == ("rtsp://user:geheim@host/a", "rtsp://host/a")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("rtsp://${NOT_THERE}@host/a", "there is no environment variable NOT_THERE"),
        ("ftp://user:geheim@host/a", r"ftp://host/a: ftp:// cannot be read; known are rtsp://"),
        ("/dev/nothing*", "the pattern matches no camera"),
        ("zmq://0.0.0.0:5555", "from this machine only"),
        ("zmq://*:5555", "from this machine only"),
        ("zmq://127.evil.invalid:5555", "from this machine only"),
        ("zmq://127.0.0.1", "write it as zmq://"),
        ("zmq:///" + 120 * "x", "paths of sockets end at 107 bytes"),
        ("synthetic:colour=red", "no such key 'colour'; known are size, rate"),
        ("synthetic:size=1x1", "write it as size=WIDTHxHEIGHT, got 'size=1x1'"),
        ("synthetic:rate=0", "write it as rate=FRAMES_PER_SECOND"),
        ("synthetic:pace=slow", r"write it as pace=real\|fast"),
    ],
)
def test_addresses_that_cannot_be_are_refused_in_one_line(argument: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        find_sources([argument])
    assert "geheim" not in str(caught.value)
