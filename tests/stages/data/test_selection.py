"""Splits by patterns and list files."""

from dataclasses import replace
from pathlib import Path

import pytest

from icstream.model import ConfigError
from icstream.stages.data import LabeledData, count_in_both, select_splits
from support.stripes import stripes_data

DATA = stripes_data(num_train=3, num_val=2)


def names(data: LabeledData, split: str) -> list[str]:
    return [sample.name for sample in data.split(split)]


def test_patterns_choose_from_all_splits_in_the_order_of_the_data() -> None:
    chosen = select_splits(DATA, {"train": ["stripes 100?", "stripes [02]"]})
    assert names(chosen, "train") == ["stripes 0", "stripes 2", "stripes 1000", "stripes 1001"]
    assert names(chosen, "val") == names(DATA, "val")
    assert count_in_both(chosen, "train", "val") == 2
    assert count_in_both(DATA, "train", "val") == 0


def test_a_list_file_has_a_name_per_line(tmp_path: Path) -> None:
    file = tmp_path / "some.txt"
    file.write_text("\ufeffstripes 1001\n\n  stripes 1 \r\n", encoding="utf-8")
    chosen = select_splits(DATA, {"night": [f"@{file}", "stripes 0"]})
    assert names(chosen, "night") == ["stripes 0", "stripes 1", "stripes 1001"]


def test_empty_selections_change_nothing() -> None:
    assert select_splits(DATA, {"train": [], "val": ()}) == DATA


def test_a_split_that_is_chosen_anew_has_no_fault() -> None:
    faulty = replace(DATA, faults={"val": "no image is tagged 'val'"})
    with pytest.raises(ConfigError, match="tagged"):
        faulty.split("val")
    assert names(select_splits(faulty, {"val": ["stripes 1"]}), "val") == ["stripes 1"]


def test_what_matches_nothing_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "some.txt"
    with pytest.raises(ConfigError, match=r"some\.txt: missing"):
        select_splits(DATA, {"val": [f"@{file}"]})
    file.write_text("stripes 1\nstripes 7\n")
    with pytest.raises(
        ConfigError, match=r"split 'val': @.*names 'stripes 7', which is not a sample"
    ):
        select_splits(DATA, {"val": [f"@{file}"]})
    with pytest.raises(ConfigError, match=r"'Stripes \*' matches none of 5 samples.*'stripes 0'"):
        select_splits(DATA, {"val": ["Stripes *"]})
    file.write_bytes(b"\xff\xff")
    with pytest.raises(ConfigError, match=r"some\.txt: not UTF-8"):
        select_splits(DATA, {"val": [f"@{file}"]})
