"""Runs with more workers than the system allows open files for."""

import resource
import subprocess

import pytest

from icstream.model import ConfigError
from icstream.pipeline.run.open_files import allow_open_files
from support.commands import COMMAND


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return limits of open files, soft and hard, in the place of this process's own."""
    limits = [1024, 4096]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))

    def set_limits(_: int, values: tuple[int, int]) -> None:
        limits[:] = values

    monkeypatch.setattr(resource, "setrlimit", set_limits)
    return limits


def test_the_limit_is_raised_as_far_as_workers_need_it(limits: list[int]) -> None:
    allow_open_files(16)
    assert limits == [1024, 4096]
    # A worker takes three; 403 open files were counted with 128 workers of 64 cameras.
    allow_open_files(500)
    assert limits[0] >= 1500
    assert limits[1] == 4096


def test_a_limit_that_cannot_be_raised_is_named_with_the_need(limits: list[int]) -> None:
    with pytest.raises(
        ConfigError, match=r"is 4096 \(ulimit -n\), but 2000 worker .* need 6\d{3};"
    ):
        allow_open_files(2000)
    assert limits == [1024, 4096]


@pytest.mark.slow
def test_a_run_is_refused_before_anything_is_written(tmp_path: object) -> None:
    command = [*COMMAND, "run", "-o", f"{tmp_path}/out"]
    command += [f"synthetic:rate={rate}" for rate in (1, 2, 3, 4)]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (36, 36))

    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, preexec_fn=limit, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "the limit on open files is 36 (ulimit -n)" in line
