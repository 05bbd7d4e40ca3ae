"""The outcome of a conversion for every tensor of a foreign file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_MAX_NAMED = 5
"""The number of names in a line before "and N more"."""


@dataclass(frozen=True, slots=True)
class Report:
    """The tensors that were loaded, and those that were not."""

    source: str
    """A description of the file's kind."""
    taken: Mapping[str, str]
    """The names in `ICNet` of loaded tensors, by foreign name."""
    ignored: Mapping[str, str]
    """The reasons why tensors were left out, by foreign name."""
    folded: Mapping[str, str] = field(default_factory=dict)
    """The merging of tensors into others, as a clause by foreign name."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """The names in `ICNet` of missing tensors, by foreign name."""
    wrong: Mapping[str, str] = field(default_factory=dict)
    """The reasons why tensors cannot be used, shape or values, by foreign name."""
    notes: tuple[str, ...] = ()
    """Assumptions made where the file states nothing."""

    def faults(self) -> list[str]:
        """Return a clause for each kind of error; none if the network is filled."""
        wrong = [f"{name} {fault}" for name, fault in self.wrong.items()]
        clauses = (("missing ", list(self.missing)), ("", wrong))
        return [title + listed(names) for title, names in clauses if names]

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        lines = [f"{self.source}: {len(self.taken)} tensors taken, {len(self.renamed())} renamed"]
        lines += [f"folded: {name} {what}" for name, what in self.folded.items()]
        for why, count in Counter(self.ignored.values()).items():
            names = [name for name, reason in self.ignored.items() if reason == why]
            lines.append(f"ignored, {why}: {count}: {listed(names)}")
        return [*lines, *(f"note: {note}" for note in self.notes)]

    def renamed(self) -> dict[str, str]:
        """Return the tensors whose name changed: names in `ICNet` by foreign name."""
        return {theirs: ours for theirs, ours in self.taken.items() if theirs != ours}

    def values(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
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
    """Return the first few names and the number of the others."""
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    # Names come from outside: control characters are escaped.
    shown = [name if name.isprintable() else repr(name) for name in names[:_MAX_NAMED]]
    return ", ".join(shown) + more
