"""Selection of splits by sample names, in place of the data set's own splits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from icstream.model import ConfigError
from icstream.model.errors import SampleError
from icstream.stages.data.samples import LabeledData, Sample
from icstream.stages.input_files import read_bytes

LIST_MARK = "@"
"""The first character of an entry that names a list file."""


def select_splits(data: LabeledData, selections: Mapping[str, Sequence[str]]) -> LabeledData:
    """Return the data set with some splits replaced by a selection of sample names.

    Args:
        data: The data set; samples of all its splits can be selected.
        selections: The entries of each split: shell patterns ("0016E5_*"), which are
            case-sensitive, and files with one name per line ("@night.txt"). A split without entries
            is unchanged.

    Raises:
        ConfigError: An entry matches no sample, or a list file cannot be used.
    """
    samples = {sample.name: sample for split in data.splits.values() for sample in split}
    chosen = {
        split: _selected(samples, entries, origin=f"{data.origin}, split {split!r}")
        for split, entries in selections.items()
        if entries
    }
    faults = {split: fault for split, fault in data.faults.items() if split not in chosen}
    return replace(data, splits={**data.splits, **chosen}, faults=faults)


def count_in_both(data: LabeledData, one: str, other: str) -> int:
    """Return the number of samples that are in both splits."""
    names = [{sample.name for sample in data.splits.get(split, ())} for split in (one, other)]
    return len(names[0] & names[1])


def _selected(
    samples: Mapping[str, Sample], entries: Sequence[str], *, origin: str
) -> tuple[Sample, ...]:
    """Return the samples that match any entry, in the order of the data set."""
    chosen: set[str] = set()
    for entry in entries:
        if entry.startswith(LIST_MARK):
            names = _listed(Path(entry.removeprefix(LIST_MARK)))
            if unknown := sorted(names - samples.keys()):
                raise ConfigError(f"{origin}: {entry} names {unknown[0]!r}, which is not a sample")
        else:
            names = {name for name in samples if fnmatchcase(name, entry)}
        if not names:
            raise ConfigError(
                f"{origin}: {entry!r} matches none of {len(samples)} samples,"
                f" of which the first is {next(iter(samples), None)!r}"
            )
        chosen |= names
    return tuple(sample for name, sample in samples.items() if name in chosen)


def _listed(path: Path) -> set[str]:
    """Return the names in a list file, ignoring blank lines and spaces around names."""
    try:
        lines = read_bytes(path).decode("utf-8-sig").splitlines()
    except SampleError as error:
        raise ConfigError(str(error)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text") from error
    return {line.strip() for line in lines if line.strip()}
