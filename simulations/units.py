"""Numbers as people read them."""

from __future__ import annotations

MISSING = "–"


def bits(value: float | None) -> str:
    """Bits per byte, or a loss: three digits that matter."""
    if value is None:
        return MISSING
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def percent(share: float | None, digits: int = 0) -> str:
    """A share between 0 and 1 as a percentage."""
    return MISSING if share is None else f"{100 * share:.{digits}f}%"


def size(count: float | None) -> str:
    """Bytes in steps of 1,000, with three digits at most."""
    if count is None:
        return MISSING
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration(seconds: float | None) -> str:
    """Seconds as "48 s", "3 min 05 s" or "2 h 04 min"."""
    if seconds is None:
        return MISSING
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def count(number: float | None) -> str:
    """A whole number with thousands set apart."""
    return MISSING if number is None else f"{number:,.0f}"


def listing(names: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def printable(text: object, limit: int = 400) -> str:
    """Text from elsewhere, fit for a terminal or a page: one line, no control characters, not too long."""
    clean = "".join(c if c.isprintable() else " " for c in str(text))
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
