"""Rules of events: a class covers too much or too little of the image for some time."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal, Self

from icstream.model import ConfigError, LabelSet
from icstream.model.settings_base import Limits, OldKey, SettingsBase, renamed
from icstream.stages.items import FrameMeta

Share = Annotated[float, Limits(ge=0, le=1)]
Duration = Annotated[float, Limits(ge=0)]


def _key(name: str) -> str:
    return "class" if name == "class_name" else name


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRuleSettings(SettingsBase):
    """The rule of an event: a class covers too much or too little of the image for some time."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {
        **SettingsBase.__pydantic_config__,
        "alias_generator": _key,
    }
    OLD_KEYS: ClassVar[Mapping[str, OldKey]] = {
        "for_seconds": renamed("for_s"),
        "clear_for_seconds": renamed("clear_for_s"),
    }

    name: Annotated[str, Limits(min_length=1)]
    """Unique name of the event."""
    class_name: str
    """Class whose share of the image is measured."""
    above: Share | None = None
    """Share above which the event begins; exactly one of `above` and `below` is required."""
    below: Share | None = None
    """Share below which the event begins; exactly one of `above` and `below` is required."""
    for_s: Duration = 0.0
    """Time, in seconds, for which the share must be beyond the threshold before the event
    begins."""
    clear: Share | None = None
    """Share at which the event ends, at most `above` or at least `below`; by default the
    threshold."""
    clear_for_s: Duration | None = None
    """Time, in seconds, for which that must hold before the event ends; by default `for_s`."""

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise ValueError("exactly one of above and below is required")
        if self.clear is not None:
            if self.above is not None and self.clear > self.above:
                raise ValueError(f"clear must not be more than above, {self.above}")
            if self.below is not None and self.clear < self.below:
                raise ValueError(f"clear must not be less than below, {self.below}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSettings(SettingsBase):
    """Settings of the sink `events`."""

    rules: tuple[EventRuleSettings, ...] = ()
    """Rules, one for each event."""

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError(f"names must be unique, got {', '.join(names)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRule:
    """A rule for the beginning and end of an event, with durations in the stream's own time."""

    name: str
    class_id: int
    class_name: str
    rising: bool
    """Whether the event begins above the threshold rather than below."""
    threshold: Fraction
    clear: Fraction
    for_s: Fraction
    clear_for_s: Fraction

    @classmethod
    def of(cls, settings: EventRuleSettings, labels: LabelSet) -> Self:
        """Return the rule for these classes.

        Raises:
            ConfigError: There is no such class.
        """
        if settings.class_name not in labels.names:
            raise ConfigError(
                f"output.events.rules: {settings.name} names the class"
                f" {settings.class_name!r}; the weights have {', '.join(labels.names)}"
            )
        threshold = settings.below if settings.above is None else settings.above
        assert threshold is not None  # one of the two is given
        clear, clear_for_s = settings.clear, settings.clear_for_s
        return cls(
            name=settings.name,
            class_id=labels.names.index(settings.class_name),
            class_name=settings.class_name,
            rising=settings.above is not None,
            threshold=_exact(threshold),
            clear=_exact(threshold if clear is None else clear),
            for_s=_exact(settings.for_s),
            clear_for_s=_exact(settings.for_s if clear_for_s is None else clear_for_s),
        )

    def is_beyond(self, share: Fraction, limit: Fraction) -> bool:
        """Return whether a share is beyond a limit."""
        return share > limit if self.rising else share < limit


@dataclass(frozen=True, slots=True)
class RuleState:
    """The state of an event, which changes rarely enough to record each change."""

    active: bool = False
    """Whether the event has begun and not ended."""
    since: tuple[int, int | None, Fraction] | None = None
    """The index, pts and time base of the frame since which the next change is pending, or None."""

    def after(self, rule: EventRule, share: Fraction, meta: FrameMeta) -> "RuleState":
        """Return the state after a frame with the class's share."""
        if self.active:
            changing, needed_s = not rule.is_beyond(share, rule.clear), rule.clear_for_s
        else:
            changing, needed_s = rule.is_beyond(share, rule.threshold), rule.for_s
        if not changing:
            return self if self.since is None else RuleState(self.active)
        since = self.since or (meta.index, meta.pts, meta.time_base)
        lasted_s = moment(meta.index, meta.pts, meta.time_base) - moment(*since)
        if lasted_s < 0:  # time jumped back
            since, lasted_s = (meta.index, meta.pts, meta.time_base), Fraction(0)
        if lasted_s >= needed_s:
            return RuleState(not self.active)
        return self if since == self.since else RuleState(self.active, since)


def moment(index: int, pts: int | None, time_base: Fraction) -> Fraction:
    """Return the time of a frame in seconds, by its index if there is no clock."""
    return (index if pts is None else pts) * time_base


def event_line(
    kind: Literal["begin", "end"], rule: EventRule, share: Fraction, meta: FrameMeta
) -> dict[str, Any]:
    """Return the line for the beginning or end of an event."""
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
    """Return the decimal number that was written, which the float only approximates."""
    return Fraction(str(value))
