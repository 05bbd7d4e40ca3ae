"""The command line as a user meets it: real processes, real files, exit codes, one-line errors."""

import json
import logging
import os
import re
import shlex
import signal
import subprocess
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from icstream.pipeline import segment
from icstream.stages import FrameAccounting
from support.clips import damage_packet, instant, make_clip, moving_image, packet_places
from support.commands import COMMAND, call, error_line, icstream

STREETS = ("--weights", "streets")


def read_masks(path: Path) -> tuple[list[Fraction], list[NDArray[np.uint8]]]:
    with av.open(path) as file:
        frames = list(file.decode(video=0))
        times = [instant(f) for f in frames]
        return times, [np.asarray(f.to_ndarray(format="gray"), np.uint8) for f in frames]


def report(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return values


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return make_clip(
        path, pts=(0, 3, 4, 9, 10, 11, 15, 16), time_base=Fraction(1, 30), size=(96, 161 - 1)
    )


@pytest.mark.slow
def test_a_run_and_the_python_call_give_the_same_ids_and_times(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = icstream(
        "run", clip, *STREETS, "-o", out, "--sink", "masks", "--sink", "png", "--json", "-"
    )
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values == report(out)
    stream = values["streams"]["clip"]
    assert (stream["packets"], stream["decoded"], stream["encoded"], stream["closed"]) == (
        8,
        8,
        8,
        True,
    )
    assert values["exit_code"] == 0
    assert values["chosen"]["precision"] in ("fp32", "bf16")
    assert set(values["latency_ms"]) == {"decode", "preprocess", "segment", "encode"}
    assert "8 decoded, 8 encoded, accounts balance" in done.stderr
    times, masks = read_masks(out / "clip" / "masks.mp4")
    accounting = FrameAccounting()
    results = list(segment(str(clip), weights="streets", accounting=accounting))
    assert times == [result.time for result in results]
    assert times == [Fraction(t, 30) for t in (0, 3, 4, 9, 10, 11, 15, 16)]
    for index, (mask, result) in enumerate(zip(masks, results, strict=True)):
        assert (mask == result.class_ids).all()
        assert result.image.shape == (96, 160, 3)
        with Image.open(out / "clip" / "masks" / f"{index:06}.png") as image:
            assert (np.asarray(image) == mask).all()
    assert accounting.faults() == []
    assert len(np.unique(masks)) > 1


@pytest.mark.slow
def test_leaving_the_loop_closes_the_source_and_the_accounts(clip: Path) -> None:
    accounting = FrameAccounting()
    results = segment(str(clip), weights="streets", accounting=accounting)
    for result in results:
        if result.index == 2:
            break
    results.close()  # type: ignore[attr-defined]
    assert accounting.faults() == []
    assert accounting.encoded >= 3
    opened = [
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.lexists(f"/proc/self/fd/{fd}")
    ]
    assert not [path for path in opened if path.endswith("clip.mp4")]


@pytest.mark.slow
def test_several_sources_are_streams_of_their_own(clip: Path, tmp_path: Path) -> None:
    for index in range(3):
        Image.fromarray(moving_image(index, (70, 90))).save(tmp_path / f"im{index}.png")
    out = tmp_path / "out"
    done = call("run", clip, tmp_path / "im*.png", clip, *STREETS, "-o", out)
    assert done.returncode == 0, done.stderr
    streams = report(out)["streams"]
    assert [(name, s["encoded"], s["clock"]) for name, s in streams.items()] == [
        ("clip", 8, "pts"),
        (tmp_path.name, 3, "index"),
        ("clip-2", 8, "pts"),
    ]
    assert sorted(p.name for p in (out / tmp_path.name / "masks").iterdir()) == [
        "im0.png",
        "im1.png",
        "im2.png",
    ]
    first, second = (out / name / "masks.mp4" for name in ("clip", "clip-2"))
    assert first.read_bytes() == second.read_bytes()
    assert (out / "clip" / "overlay.mp4").is_file()


@pytest.mark.slow
def test_losses_give_exit_code_3_and_a_sentence(clip: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(clip.read_bytes())
    damage_packet(damaged, 4)
    done = call("run", damaged, *STREETS, "-o", tmp_path / "out", "--sink", "masks")
    assert done.returncode == 3
    assert "undecodable: damaged packet" in done.stderr
    stream = report(tmp_path / "out")["streams"]["damaged"]
    assert stream["closed"]
    assert stream["undecodable"].keys() == {"damaged packet"}
    assert len(stream["gaps"]) == sum(stream["undecodable"].values())


@pytest.mark.slow
def test_one_bad_source_does_not_touch_the_others(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"nothing" * 100)
    done = call("run", tmp_path / "bad.mp4", clip, *STREETS, "-o", tmp_path / "out")
    assert done.returncode == 3
    streams = report(tmp_path / "out")["streams"]
    assert "not a video" in streams["bad"]["error"]
    assert streams["clip"]["encoded"] == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "none.mp4", *STREETS, "-o", "{out}"], "none.mp4: no such file"),
        (["run", "{clip}", "--weights", "street", "-o", "{out}"], "did you mean streets"),
        (["run", "{clip}", "--weigths", "random", "-o", "{out}"], "No such option.*--weights"),
        (["run", "{clip}", *STREETS], "Missing option.*--out"),
        (["rum"], "No such command.*run"),
        (["run", "{clip}", *STREETS, "-o", "{out}", "--sink", "mask"], "did you mean masks"),
        (
            ["run", "{clip}", *STREETS, "-o", "{out}", "--set", "model.thread=1"],
            "did you mean model.threads",
        ),
        (
            ["run", "{clip}", *STREETS, "-o", "{out}", "--set", "output.options.masks.crf=1"],
            "output.options: got 'masks', allowed are installed sinks of other packages: ",
        ),
        (["run", "{clip}", *STREETS, "-o", "{out}", "--threads", "many"], "--threads"),
        (["run", "{clip}", *STREETS, "-o", "{out}", "--precision", "fp8"], "model.precision"),
        (
            ["run", "{clip}", *STREETS, "-o", "{out}", "-c", "none.yaml"],
            "none.yaml: cannot be read",
        ),
        (["run", "{clip}", "--weights", "{clip}", "-o", "{out}"], "not a safetensors file"),
        (["run", "{clip}", *STREETS, "-o", "{used}"], "not empty.*--overwrite.*--resume"),
        (
            ["demo", "-o", "{used}"],
            "not empty; choose another folder, or --overwrite to replace it$",
        ),
        (["run", "{clip}", *STREETS, "-o", "{clip}"], "is a file, but a folder is needed"),
        (
            ["run", "ftp://camera/a", *STREETS, "-o", "{out}"],
            "ftp:// cannot be read; allowed are rtsp://",
        ),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    clip: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    used = tmp_path / "used"
    used.mkdir()
    (used / "file").write_text("")
    places = {"clip": clip, "out": tmp_path / "out", "used": used}
    done = call(*(argument.format(**places) for argument in arguments))
    assert done.returncode == 2
    assert re.search(words, error_line(done))
    assert not (tmp_path / "out").exists()


def test_cuda_without_a_device_is_one_line(clip: Path, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    done = call("run", clip, *STREETS, "-o", tmp_path / "out", "--device", "cuda:0")
    assert done.returncode == 2
    assert "no CUDA device here" in error_line(done)


def test_an_error_is_one_line_and_exit_code_2_for_a_user_too(tmp_path: Path) -> None:
    done = icstream("run", "none.mp4", *STREETS, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert error_line(done) == "icstream: none.mp4: no such file or folder"


@pytest.mark.slow
def test_a_command_leaves_signals_and_logging_as_they_were(tmp_path: Path) -> None:
    def state() -> tuple[object, ...]:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        return *handlers, list(logging.getLogger().handlers), logging.getLogger("icstream").level

    before = state()
    (tmp_path / "a.mp4").write_bytes(b"no video")
    assert call("run", tmp_path / "a.mp4", *STREETS, "-o", tmp_path / "out").returncode == 2
    assert state() == before


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"no video" * 50])
def test_nothing_that_can_be_opened_is_exit_code_2(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    done = call("run", tmp_path / "a.mp4", *STREETS, "-o", tmp_path / "out", "--quiet")
    assert done.returncode == 2
    assert "a.mp4" in done.stderr


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_exit_code_1(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=tuple(range(300)), size=(96, 160))
    out = tmp_path / "out"
    limited = f"ulimit -f 100; exec {shlex.join([*COMMAND, 'run', str(clip), *STREETS])} -o {out}"
    # A limit on the size of files stands for a full disk; Python ignores the signal it raises.
    done = subprocess.run(
        ["bash", "-c", limited], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 1, done.stderr
    assert re.search(r"(masks|overlay)\.mp4: File too large", done.stderr)
    assert "Traceback" not in done.stderr
    stream = report(out)["streams"]["clip"]
    assert (stream["closed"], 0 < stream["encoded"] < 300) == (True, True)


@pytest.mark.slow
def test_a_recording_without_a_sound_image_is_exit_code_2(clip: Path, tmp_path: Path) -> None:
    content = bytearray(clip.read_bytes())
    for position, size in packet_places(clip):
        content[position : position + size] = bytes(size)
    (tmp_path / "black.mp4").write_bytes(content)
    done = call("run", tmp_path / "black.mp4", *STREETS, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "no frame could be decoded" in done.stderr
    stream = report(tmp_path / "out")["streams"]["black"]
    assert (stream["packets"], sum(stream["undecodable"].values()), stream["closed"]) == (
        8,
        8,
        True,
    )


@pytest.mark.slow
def test_overwrite_gives_the_same_files(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    contents = []
    for _ in range(2):
        done = call("run", clip, *STREETS, "-o", out, "--overwrite", "--quiet")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        contents.append({p.name: p.read_bytes() for p in (out / "clip").iterdir()})
    assert contents[0] == contents[1]


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    return make_clip(path, pts=tuple(range(3000)), size=(64, 96), gop=50)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_run_in_order(
    long_clip: Path, tmp_path: Path, number: int, code: int
) -> None:
    out = tmp_path / "out"
    command = [*COMMAND, "run", str(long_clip), *STREETS, "-o", str(out), "--sink", "masks"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        masks, deadline = out / "long" / "masks.mp4", time.monotonic() + 60
        while not (masks.exists() and masks.stat().st_size > 10_000):  # some frames are through
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(timeout=5) == code
    values = report(out)
    stream = values["streams"]["long"]
    assert (values["exit_code"], stream["closed"]) == (code, True)
    times, _ = read_masks(masks)
    assert len(times) == stream["encoded"]
    assert 0 < len(times) < 3000


@pytest.mark.slow
def test_settings_come_from_yaml_too(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        "model: {weights: streets, precision: fp32, threads: 1}\n"
        "fit: {mode: stretch, size: 64x96}\noutput: {sinks: [masks]}\n"
    )
    out = tmp_path / "out"
    done = call("run", clip, "-c", tmp_path / "run.yaml", "-o", out)
    assert done.returncode == 0, done.stderr
    values = report(out)
    assert values["chosen"]["threads"] == 1
    assert values["config"]["fit"] == {"mode": "stretch", "size": [64, 96], "double_below": 0}
    _, masks = read_masks(out / "clip" / "masks.mp4")
    assert masks[0].shape == (96, 160)


@pytest.mark.slow
def test_the_real_recording_keeps_every_frame_and_time(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "dashcam_960x540.mp4"
    done = call("run", source, *STREETS, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    with av.open(source) as file:
        wanted = [instant(f) for f in file.decode(video=0)]
    for name in ("masks", "overlay"):
        with av.open(tmp_path / "out" / "dashcam_960x540" / f"{name}.mp4") as file:
            shown = list(file.decode(video=0))
        assert [instant(f) for f in shown] == wanted
        assert (shown[0].height, shown[0].width) == (540, 960)
    assert len(wanted) == 221


@pytest.mark.slow
def test_half_a_recording_is_reported_with_what_is_missing(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "dashcam_960x540.mp4"
    half = tmp_path / "half.mp4"
    half.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    whole = sum(pos + size <= source.stat().st_size // 2 for pos, size in packet_places(source))
    done = call("run", half, *STREETS, "-o", tmp_path / "out", "--sink", "masks")
    assert done.returncode == 3
    stream = report(tmp_path / "out")["streams"]["half"]
    assert stream["encoded"] == whole
    assert stream["closed"]
    assert f"{stream['missing']} of the 221 frames in the file's index are missing" in done.stderr
