"""What live sources are called, and what may be shown of their addresses."""

import base64
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import ClassVar

import av
import pytest
from av.error import HTTPNotFoundError

from icstream.model import ConfigError
from icstream.stages import FrameAccounting
from icstream.stages.decode import find, open, open_source
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
        ("ftp://user:geheim@host/a", r"ftp://host/a: ftp:// cannot be read; allowed are rtsp://"),
        ("/dev/nothing*", "the pattern matches no camera"),
        ("zmq://0.0.0.0:5555", "from this machine only"),
        ("zmq://*:5555", "from this machine only"),
        ("zmq://127.evil.invalid:5555", "from this machine only"),
        ("zmq://127.0.0.1", "write it as zmq://"),
        ("zmq://127.0.0.1:0", "with a port of 1 to 65535"),
        ("zmq://127.0.0.1:65536", "with a port of 1 to 65535"),
        ("zmq://[::1]:99999", "with a port of 1 to 65535"),
        ("zmq://127.0.0.1:\u00b2", "with a port of 1 to 65535"),
        ("zmq:///a\0b", "a path has no zero bytes"),
        ("/dev/null", "/dev/null: a device that is no camera"),
        ("/dev/zero", "/dev/zero: a device that is no camera"),
        ("zmq:///" + 120 * "x", "a socket path has at most 107 bytes"),
        ("synthetic:colour=red", "no such key 'colour'; allowed are size, rate"),
        (
            "synthetic:size=64x48",
            "WIDTHxHEIGHT, got 'size=64x48'; allowed are sides of 64 to 4096 pixels",
        ),
        ("synthetic:size=1x1", "write it as size=WIDTHxHEIGHT, got 'size=1x1'"),
        ("synthetic:loss=2", "write it as loss=SHARE, got 'loss=2'; allowed are 0 to 1"),
        ("rtsp:/user:geheim@host/a", "rtsp:/host/a: no such file"),
        ("rtsp:user:geheim@host/a", r"rtsp:\.\.\.@host/a: no such file"),
        ("rtsp//user:geheim@host/a", r"@host/a: no such file"),
        ("rtsp:\\\\user:geheim@host/a", r"@host/a: no such file"),
        ("user:geheim@host/a", r"user:\.\.\.@host/a: no such file"),
        ("ftp:user:geheim@host/*", r"@host/\*: the pattern matches no file"),
        (
            "file://user:geheim@host/a.mp4",
            "file://host/a.mp4: only files of this machine can be read",
        ),
        ("a\nb\x1bm", r"a\\nb\\x1bm: no such file"),
        ("synthetic:rate=0", "write it as rate=FRAMES_PER_SECOND"),
        ("rtsp://", "rtsp://: has no host; write rtsp://HOST/PATH"),
        ("http:///a.mp4", "http:///a.mp4: has no host"),
        ("synthetic:pace=slow", r"write it as pace=real\|fast"),
    ],
)
def test_addresses_that_cannot_be_are_refused_in_one_line(argument: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        find_sources([argument])
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("rest", "given", "name"),
    [
        ("rtsp://admin:geheim@host/a?token=geheim", "rtsp://host/a", "rtsp_host_a"),
        ("rtsp:/admin:geheim@host/a", "rtsp:/host/a", "rtsp_host_a"),
        ("admin:geheim@host/a", "admin:...@host/a", "admin_...@host_a"),
        (
            "host=h,password=geheim,rate=3",
            "host=h,password=...,rate=3",
            "host=h,password=...,rate=3",
        ),
        ("x=1,url=http://u:geheim@h/a", "x=1,url=http://h/a", "x=1,url=http_h_a"),
        ("/data/caf\udce9.mp4", r"/data/caf\xe9.mp4", "_data_caf_xe9.mp4"),
        ("", "", "crash"),
    ],
)
def test_sources_of_other_packages_get_what_is_not_shown(
    rest: str, given: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    got = []
    entry = SimpleNamespace(load=lambda: lambda context: got.append(context.rest))
    for module in (find, open):
        monkeypatch.setattr(module, "own_sources", lambda: {"crash": entry})
    (spec,) = find_sources([f"crash:{rest}"])
    assert (spec.given, spec.name) == (f"crash:{given}", name)
    assert "geheim" not in repr(spec)
    open_source(spec, accounting=FrameAccounting())
    assert got == [rest]


class _AsksForLogin(BaseHTTPRequestHandler):
    """Notes the login that it is sent, and has nothing to see."""

    logins: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        kind, _, login = self.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            self.logins.append(base64.b64decode(login).decode())
        self.send_response(404 if kind else 401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("password", "sent"),
    [
        *((text, text) for text in ("a#b", "a?b/c", "p@ss:w%rd#", "100%41#", "a b\\[]", "geheim")),
        ("x%23y", "x#y"),  # quoted already, and has nothing in it that must be
    ],
)
def test_a_password_from_the_environment_may_hold_anything(
    password: str, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", password)
    monkeypatch.setenv("LOGIN", f"me:{password}")
    with HTTPServer(("127.0.0.1", 0), _AsksForLogin) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            for login in ("me:${PASSWORD}", "${LOGIN}"):
                argument = f"http://{login}@127.0.0.1:{server.server_port}/a"
                (spec,) = find_sources([argument])
                assert spec.given == f"http://127.0.0.1:{server.server_port}/a"
                with pytest.raises(HTTPNotFoundError):
                    av.open(spec.address)
        finally:
            server.shutdown()
    assert {_AsksForLogin.logins.pop(), _AsksForLogin.logins.pop()} == {f"me:{sent}"}
