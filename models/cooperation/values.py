"""Numbers, dates and names in a text, each in a form that can be compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from renga.models.cooperation.spans import Span, sentences, tokens

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    "january|february|march|april|may|june|july|august|september|october|november|december|"
    r"(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b\.?"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_DATES = (
    re.compile(rf"\b(?P<day>{_DAY})\s+(?:of\s+)?(?P<month>{_MONTH})\s*,?\s+(?P<year>\d{{4}})\b", re.I),
    re.compile(rf"\b(?P<month>{_MONTH})\s+(?P<day>{_DAY})\s*,?\s+(?P<year>\d{{4}})\b", re.I),
    re.compile(r"\b(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)\b"),
)
_NUMBER = re.compile(
    r"(?<![\w.])[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?!\w|\.\d)|(?<![\w.])\d+(?=st\b|nd\b|rd\b|th\b|%)"
)
_SMALL = {
    word: number
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_SPELLED = re.compile(rf"\b({'|'.join(_SMALL)})\b(?:\s+({'|'.join(_SCALES)})\b)?", re.I)
_NAME = re.compile(r"\b[A-ZÀ-Þ][\w’'-]*(?:\s+(?:of|de|van|von)?\s*[A-ZÀ-Þ][\w’'-]*)*")
# Capitalised anywhere, and no names.
_PLAIN = re.compile(
    "(?i)i|i'm|the|a|an|it|he|she|they|we|you|this|that|these|those|there|yes|no|true|false|neither|and|but|or|"
    "in|on|at|by|of|as|is|was|are|were"
)


@dataclass(frozen=True)
class Value:
    """A value at its place. form: what it is compared by; kind: "number", "date" or "name"."""

    span: Span
    kind: str
    form: str


def values(text: str) -> list[Value]:
    """All values of a text, in order. A date is one value, and its numbers are none."""
    dates = list(_dates(text))
    taken = [date.span for date in dates]
    numbers = [n for n in _numbers(text) if not any(n.span.meets(span) for span in taken)]
    taken += [number.span for number in numbers]
    names = [n for n in _names(text) if not any(n.span.meets(span) for span in taken)]
    return sorted([*dates, *numbers, *names], key=lambda value: value.span)


def held(value: Value, text: str, inside: frozenset[str] | None = None) -> bool:
    """Whether `text` holds the value. inside: `forms(text)`, where many are looked for."""
    if value.kind != "name":
        return value.form in (forms(text) if inside is None else inside)
    return f" {value.form} " in f" {' '.join(tokens(text))} "


def forms(text: str) -> frozenset[str]:
    """The forms of the numbers and dates of a text; a year in a date counts for itself, too."""
    found = [value.form for value in values(text) if value.kind != "name"]
    return frozenset([*found, *(form[:4] for form in found if re.fullmatch(r"\d{4}-\d\d-\d\d", form))])


def _dates(text: str) -> Iterator[Value]:
    for pattern in _DATES:
        for found in pattern.finditer(text):
            month = found["month"]
            number = int(month) if month.isdigit() else 1 + _MONTHS.index(month[:3].lower())
            day = int(re.sub(r"\D", "", found["day"]))
            form = f"{found['year']}-{number:02}-{day:02}"
            yield Value(Span(*found.span()), "date", form)


def _numbers(text: str) -> Iterator[Value]:
    for found in _NUMBER.finditer(text):
        amount = float(found[0].replace(",", "").replace("−", "-"))
        end = found.end()
        scale = re.match(r"\s*(hundred|thousand|million|billion)\b", text[end:], re.I)
        if scale:
            amount *= _SCALES[scale[1].lower()]
            end += scale.end()
        yield Value(Span(found.start(), end), "number", f"{amount:.12g}")
    for found in re.finditer(
        r"\b(" + "|".join(_SMALL) + r")\b(?:\s+(hundred|thousand|million|billion)\b)?", text, re.I
    ):
        if found[1].lower() == "one" and not found[2]:
            continue  # mostly a pronoun
        amount = _SMALL[found[1].lower()] * _SCALES.get((found[2] or "").lower(), 1)
        yield Value(Span(*found.span()), "number", f"{amount:.12g}")


def _names(text: str) -> Iterator[Value]:
    starts = {span.start for span in sentences(text)}
    for found in _NAME.finditer(text):
        start, words = found.start(), found[0]
        # The first word of a sentence is written large whatever it is.
        if start in starts or text[max(0, start - 1) : start] in '"“(':
            first = words.split()[0]
            if len(words.split()) == 1 or _PLAIN.fullmatch(first):
                start += len(first)
                words = text[start : found.end()]
                start += len(words) - len(words.lstrip())
                words = words.strip()
        if words and not _PLAIN.fullmatch(words):
            form = " ".join(tokens(re.sub(r"[’']s$", "", words)))
            if form:
                yield Value(Span(start, start + len(words)), "name", form)
