"""What is shown of names and addresses that others wrote."""

import os

import pytest

from icstream.model.shown import HIDDEN, escape, hide_secrets, printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"caf\xe9.mp4", r"caf\xe9.mp4"),
        ("café 日本\u3000語 👩‍💻.mp4".encode(), "café 日本\u3000語 👩‍💻.mp4"),
        (
            b"x\n12:00 ERROR gate: camera stolen\x1b[31m",
            r"x\n12:00 ERROR gate: camera stolen\x1b[31m",
        ),
        (b"a\rb\x7f", r"a\rb\x7f"),
        ("a\u2028b\u202ec\x9b".encode(), r"a\u2028b\u202ec\x9b"),
    ],
)
def test_names_are_one_visible_line_of_utf_8(name: bytes, shown: str) -> None:
    escaped = escape(os.fsdecode(name))
    assert escaped == shown
    assert len(escaped.encode().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("crash:rtsp://admin:s3cr3t@h/a: refused", "crash:rtsp://h/a: refused"),
        ("rtsp:/admin:s3cr3t@h", "rtsp:/h"),
        (
            "amqp://u:s3cr3t/@x@h/q and http://h/?token=s3cr3t&a=1",
            "amqp://h/q and http://h/?token=...&a=1",
        ),
        ("password=s3cr3t, api_key=s3cr3t keyframe=3", "password=..., api_key=... keyframe=3"),
        ("mail me@example.org", "mail me@example.org"),
    ],
)
def test_logins_and_secrets_are_left_out_of_texts(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_texts_take_no_time() -> None:
    for text in ("a" * 300_000, "http://" * 30_000, "pass" * 60_000, "x-" * 100_000):
        printable(text)


def test_settings_of_others_are_reported_without_secrets() -> None:
    settings = {
        "host": "h",
        "Password": "s3cr3t",
        "keep": [1, "mqtt://u:s3cr3t@h"],
        "tls": {"key": "s3cr3t", "verify": True},
    }
    assert hide_secrets(settings) == {
        "host": "h",
        "Password": HIDDEN,
        "keep": [1, "mqtt://h"],
        "tls": {"key": HIDDEN, "verify": True},
    }
