"""Settings that somebody made to be endless are refused in one line."""

import json
from pathlib import Path

import pytest

from icstream.model.errors import ConfigError
from icstream.pipeline.settings.run import load_config

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MERGED_LAUGHS = "a0: &a0 {k: v}\n" + "".join(
    f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", LAUGHS, "more than 100000 values"),
        ("a.yaml", MERGED_LAUGHS, "more than 100000 values"),
        ("a.yaml", "a: &a [1, *a]", "an alias refers to a node that contains it"),
        ("a.yaml", "a: " + "[" * 65 + "]" * 65, "nested more than 64 deep"),
        ("a.yaml", "[" * 50_000, "nested more than 64 deep"),
        ("a.yaml", "a: " + "1:" * 100_000 + "1", "a number of more than 1000 digits"),
        ("a.json", '{"a": ' + "[" * 64 + "]" * 64 + "}", "nested more than 64 deep"),
        ("a.json", "[" * 50_000, "nested more than 64 deep"),
        ("a.json", '{"a": ' * 50_000, "nested more than 64 deep"),
        ("a.yaml", "#" * 2**20 + "#", "larger than 1 MiB, the limit of settings files"),
    ],
)
def test_a_text_without_bounds_is_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(str(path), (), {})
    assert str(caught.value) == f"{path}: {words}"


def test_an_assignment_is_bounded_too() -> None:
    with pytest.raises(ConfigError, match=r"^--set a: nested more than 64 deep$"):
        load_config(None, ["a=" + "[" * 65], {})


def test_a_long_value_and_many_errors_are_shortened(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"decode": "x" * 10_000} | {f"k{n}": 1 for n in range(500)}))
    with pytest.raises(ConfigError) as caught:
        load_config(str(path), (), {})
    assert len(str(caught.value)) < 10_000
    assert str(caught.value).endswith("; and 401 more")


def test_aliases_of_people_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("decode: &d {loop: 2}\nlive: {}\noutput: {options: {x: *d, y: {<<: *d}}}\n")
    config = load_config(str(path), (), {})
    assert config.output.options == {"x": {"loop": 2}, "y": {"loop": 2}}
