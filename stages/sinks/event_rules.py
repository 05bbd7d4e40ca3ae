"""Events: a class has covered too much, or too little, of the image for some time."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, Self

from icstream.model import ConfigError, LabelSet
from icstream.stages.items import FrameMeta


@dataclass(frozen=True, slots=True)
class EventRule:
    """When an event begins and when it ends. All durations are in the stream's own time."""

    name: str
    class_id: int
    class_name: str
    rising: bool
    """Whether a share above the threshold begins it, or one below."""
    threshold: Fraction
    clear: Fraction
    for_s: Fraction
    clear_for_s: Fraction

    @classmethod
    def from_settings(cls, values: Mapping[str, Any], labels: LabelSet) -> Self:
        """Return the rule that plain settings describe.

        Raises:
            ConfigError: there is no such class.
        """
        class_name = values["class"]
        if class_name not in labels.names:
            raise ConfigError(
                f"output.events.rules: {values['name']} looks for the class {class_name!r};"
                f" the weights know {', '.join(labels.names)}"
            )
        rising = values["above"] is not None
        threshold = values["above"] if rising else values["below"]
        clear, clear_for = values["clear"], values["clear_for_seconds"]
        return cls(
            values["name"],
            labels.names.index(class_name),
            class_name,
            rising,
            _exact(threshold),
            _exact(threshold if clear is None else clear),
            _exact(values["for_seconds"]),
            _exact(values["for_seconds"] if clear_for is None else clear_for),
        )

    def is_beyond(self, share: Fraction, limit: Fraction) -> bool:
        """Return whether a share lies on the far side of a limit."""
        return share > limit if self.rising else share < limit


@dataclass(frozen=True, slots=True)
class RuleState:
    """How far an event is. It changes with few frames, so that each change can be written down."""

    active: bool = False
    """It has begun and not ended."""
    since: tuple[int, int | None, Fraction] | None = None
    """Index, pts and time base of the frame since which the next change is due; None: it is not."""

    def after(self, rule: EventRule, share: Fraction, meta: FrameMeta) -> "RuleState":
        """Return the state after a frame in which the class has that share."""
        if self.active:
            changing, needed_s = not rule.is_beyond(share, rule.clear), rule.clear_for_s
        else:
            changing, needed_s = rule.is_beyond(share, rule.threshold), rule.for_s
        if not changing:
            return self if self.since is None else RuleState(self.active)
        since = self.since or (meta.index, meta.pts, meta.time_base)
        lasted_s = moment(meta.index, meta.pts, meta.time_base) - moment(*since)
        if lasted_s < 0:  # time has jumped back
            since, lasted_s = (meta.index, meta.pts, meta.time_base), Fraction(0)
        if lasted_s >= needed_s:
            return RuleState(not self.active)
        return self if since == self.since else RuleState(self.active, since)


def moment(index: int, pts: int | None, time_base: Fraction) -> Fraction:
    """Return the time of a frame in seconds; by its index where there is no clock."""
    return (index if pts is None else pts) * time_base


def event_line(
    kind: Literal["begin", "end"], rule: EventRule, share: Fraction, meta: FrameMeta
) -> dict[str, Any]:
    """Return what is written about the beginning or the end of an event."""
    return {
        "event": kind,
        "rule": rule.name,
        "class": rule.class_name,
        "share": round(float(share), 6),
        "stream": meta.stream,
        "index": meta.index,
        "pts": meta.pts,
        "time_base": str(meta.time_base),
        "seconds": round(float(moment(meta.index, meta.pts, meta.time_base)), 9),
    }


def _exact(value: float) -> Fraction:
    """Return the decimal number that was written, which the float only comes close to."""
    return Fraction(str(value))
