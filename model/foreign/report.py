"""What became of every tensor of a foreign file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_MAX_NAMED = 5
"""How many names a line has before it says "and N more"."""


@dataclass(frozen=True, slots=True)
class Report:
    """Which tensors were taken, and which were not."""

    source: str
    """What the file is, in words."""
    taken: Mapping[str, str]
    """Our names of the tensors that were taken, by theirs."""
    ignored: Mapping[str, str]
    """Why tensors were left out, by their name."""
    folded: Mapping[str, str] = field(default_factory=dict)
    """What was done with tensors that went into others, by their name."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Our names of the tensors that the file lacks, by theirs."""
    wrong: Mapping[str, str] = field(default_factory=dict)
    """Why tensors cannot be used, by their name: shape or numbers do not fit."""
    notes: tuple[str, ...] = ()
    """What was assumed because the file does not state it."""

    def faults(self) -> list[str]:
        """Return a clause for each kind of fault; there is none if the network is filled."""
        wrong = [f"{name} {fault}" for name, fault in self.wrong.items()]
        clauses = (("missing ", list(self.missing)), ("", wrong))
        return [title + listed(names) for title, names in clauses if names]

    def lines(self) -> list[str]:
        """Return the lines for a person."""
        lines = [f"{self.source}: {len(self.taken)} tensors taken, {len(self.renamed())} renamed"]
        lines += [f"folded: {name} {what}" for name, what in self.folded.items()]
        for why, count in Counter(self.ignored.values()).items():
            names = [name for name, reason in self.ignored.items() if reason == why]
            lines.append(f"ignored, {why}: {count}: {listed(names)}")
        return [*lines, *(f"note: {note}" for note in self.notes)]

    def renamed(self) -> dict[str, str]:
        """Return what was taken under another name: ours by theirs."""
        return {theirs: ours for theirs, ours in self.taken.items() if theirs != ours}

    def values(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            "source": self.source,
            "matched": list(self.taken.values()),
            "renamed": self.renamed(),
            "folded": dict(self.folded),
            "ignored": dict(self.ignored),
            "missing": dict(self.missing),
            "wrong": dict(self.wrong),
            "notes": list(self.notes),
        }


def listed(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    # Names come from outside: what would move a terminal's cursor is written out.
    shown = [name if name.isprintable() else repr(name) for name in names[:_MAX_NAMED]]
    return ", ".join(shown) + more
