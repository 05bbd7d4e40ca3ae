"""The choice among media types that a client accepts (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence

from icstream.pipeline.serve.errors import RefusedError


def choose_type(accept: str | None, offered: Sequence[str]) -> str:
    """Return the offered type that the header Accept prefers, or the first of equal ones.

    Raises:
        RefusedError: Accept allows none of them.
    """
    ranges = [_parse(part) for part in (accept or "*/*").lower().split(",") if part.strip()]
    best = max(offered, key=lambda kind: (_quality(kind, ranges), -offered.index(kind)))
    if _quality(best, ranges) <= 0:
        raise RefusedError("not_acceptable", f"available types are {', '.join(offered)}")
    return best


def _parse(part: str) -> tuple[str, float]:
    kind, *parameters = (text.strip() for text in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return kind, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return kind, 0.0
    return kind, 1.0


def _quality(kind: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return the weight of the narrowest range that contains the type."""
    for name in (kind, kind.partition("/")[0] + "/*", "*/*"):
        weights = [weight for pattern, weight in ranges if pattern == name]
        if weights:
            return max(weights)
    return 0.0
