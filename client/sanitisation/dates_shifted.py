"""Dates moved by so many days, in the format they were written in, and coarsened to their decade."""

from __future__ import annotations

import re
from datetime import date, timedelta

_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "明治": 1867}
_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "short": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
}
_YEAR_FIRST = re.compile(r"(\d{4})(\s*[-/.年]\s*)(\d{1,2})(\s*[-/.月]\s*)(\d{1,2})(日?)")
_ERA = re.compile(r"(令和|平成|昭和|大正|明治)(\d{1,2}|元)(年\s*)(\d{1,2})(月\s*)(\d{1,2})(日?)")
_YEAR_LAST = re.compile(r"(\d{1,2})(\s*[-/.]\s*)(\d{1,2})(\s*[-/.]\s*)(\d{4}|\d{2})")
_WORD = r"([^\W\d_]{3,10})"
_DAY_MONTH = re.compile(
    rf"(\d{{1,2}})(st|nd|rd|th|er|\.)?(\s+(?:de\s+)?){_WORD}(\.?,?\s+(?:de\s+)?)(\d{{4}})"
)
_MONTH_DAY = re.compile(rf"{_WORD}(\.?\s+)(\d{{1,2}})(st|nd|rd|th)?(,?\s+)(\d{{4}})")


def shifted(text: str, days: int) -> str | None:
    """The date that `text` is, `days` later and written alike; None if it isn't one that is understood."""
    try:
        return _shifted(text, timedelta(days))
    except (ValueError, OverflowError):
        return None


def decade(text: str) -> str | None:
    """ "1980s" of a date with its year; None if there is none."""
    if found := re.search(r"(令和|平成|昭和|大正|明治)\s*(\d{1,2}|元)", text):
        year = _ERAS[found[1]] + (1 if found[2] == "元" else int(found[2]))
        return f"{year // 10 * 10}年代"
    if found := re.search(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)", text):
        year = int(found[1]) // 10 * 10
        return f"{year}年代" if "年" in text else f"{year}s"
    return None


def _shifted(text: str, by: timedelta) -> str | None:
    if found := _ERA.fullmatch(text):
        era, year, a, month, b, day, end = found.groups()
        new = date(_ERAS[era] + (1 if year == "元" else int(year)), int(month), int(day)) + by
        return f"{new.year}{a}{new.month}{b}{new.day}{end}"  # the Western year: it may fall into another era
    if found := _YEAR_FIRST.fullmatch(text):
        year, a, month, b, day, end = found.groups()
        new = date(int(year), int(month), int(day)) + by
        width = min(len(month), len(day))
        return f"{new.year:04d}{a}{new.month:0{width}d}{b}{new.day:0{width}d}{end}"
    if found := _YEAR_LAST.fullmatch(text):
        first, a, second, b, year = found.groups()
        full = int(year) if len(year) == 4 else 1900 + int(year)
        month_first = int(second) > 12 or ("/" in a and int(first) <= 12)
        day, month = (second, first) if month_first else (first, second)
        new = date(full, int(month), int(day)) + by
        said = (new.month, new.day) if month_first else (new.day, new.month)
        width = min(len(first), len(second))
        return f"{said[0]:0{width}d}{a}{said[1]:0{width}d}{b}{str(new.year)[-len(year) :]}"
    if found := _DAY_MONTH.fullmatch(text):
        day, ending, a, word, b, year = found.groups()
        spoken, month_number = _month(word)
        new = date(int(year), month_number, int(day)) + by
        day, word = _like(day, new.day) + _ordinal(new.day, ending), _named(spoken, new.month, word)
        return f"{day}{a}{word}{b}{new.year}"
    if found := _MONTH_DAY.fullmatch(text):
        word, a, day, ending, b, year = found.groups()
        spoken, month_number = _month(word)
        new = date(int(year), month_number, int(day)) + by
        day, word = _like(day, new.day) + _ordinal(new.day, ending), _named(spoken, new.month, word)
        return f"{word}{a}{day}{b}{new.year}"
    return None


def _like(old: str, new: int) -> str:
    return f"{new:02d}" if old.startswith("0") or (len(old) == 2 and new > 9) else str(new)


def _ordinal(day: int, ending: str | None) -> str:
    if ending not in ("st", "nd", "rd", "th"):
        return ending or ""
    return "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _month(word: str) -> tuple[str, int]:
    for spoken, names in _MONTHS.items():
        for number, name in enumerate(names.split(), 1):
            if name.lower() == word.lower():
                return spoken, number
    raise ValueError("no month")


def _named(spoken: str, month: int, like: str) -> str:
    name = _MONTHS[spoken].split()[month - 1]
    return name.lower() if like.islower() else name.upper() if like.isupper() else name
