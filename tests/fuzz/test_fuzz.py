"""Damaged samples of everything that is read from outside: read, or refused, and nothing else.

The short form; `python tests/fuzz/long.py` goes on for as long as one likes.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.fuzz.edits import KINDS, NUMBERS, Edit, edited
from support.fuzz.targets import TARGETS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CHILD = Path(__file__).with_name("child.py")
IN_CHILDREN = {
    kind: [name for name, target in TARGETS.items() if target.by_library and name.startswith(kind)]
    for kind in ("recording", "image")
}
IN_PROCESS = [name for name, target in TARGETS.items() if not target.by_library]

EDITS = st.lists(
    st.builds(
        Edit,
        kind=st.sampled_from(KINDS),
        place=st.floats(0, 1),
        length=st.sampled_from([1, 2, 4, 16, 188, 4096]),
        value=st.sampled_from(NUMBERS) | st.integers(0, 2**32 - 1),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("kind", IN_CHILDREN)
def test_damaged_files_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    command = [sys.executable, str(CHILD), "1", "40", str(tmp_path), *IN_CHILDREN[kind]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:], list(tmp_path.iterdir()))
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert [outcome["target"] for outcome in outcomes] == IN_CHILDREN[kind]
    assert not [fault for outcome in outcomes for fault in outcome["faults"]]


@pytest.mark.parametrize("name", IN_PROCESS)
def test_damaged_data_is_read_or_refused(name: str) -> None:
    target = TARGETS[name]
    samples = target.seeds()

    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(samples), EDITS)
    def check(sample: bytes, edits: list[Edit]) -> None:
        target.run(edited(sample, edits))

    for sample in samples:
        target.run(sample)
    check()
