"""What kind of thing a question asks for, and which columns hold such: by what stands in them, not by name.

A schema need not speak as its askers do. But who asks "who" wants people, "when" wants years, and a most or
an average is of an amount; and columns of people, years and amounts look alike in all schemas.
"""

from __future__ import annotations

import re

from renga.models.cooperation.database import Column, Value

_ASKED = {
    "person": r"who|whom|whose",
    "year": r"when|(?:which|what) year|oldest|newest|latest|earliest|youngest|most recent",
    "amount": (
        r"how (?:large|big|long|old|much|high|heavy)|average|mean|total|sum|altogether|combined|most|highest|"
        r"largest|biggest|longest|greatest|heaviest|least|lowest|smallest|shortest|fewest|lightest|maximum|minimum"
    ),
    "holder": r"where|in (?:which|what)",  # what the thing named belongs to, in a table of its own
}
_YEARS = 1000, 2100
MOSTLY = 0.6


def kinds_asked(question: str) -> frozenset[str]:
    """The kinds of things a question asks for, as its words have it."""
    said = question.casefold()
    found = {kind for kind, words in _ASKED.items() if re.search(rf"\b(?:{words})\b", said)}
    if "year" in found:
        found -= {"amount", "holder"}  # "the most recent", "in which year"
    return frozenset(found)


def kind_of(column: Column) -> str:
    """What a column holds: "year", "amount", "person", or "" for anything else."""
    if column.numeric:
        if is_id(column):
            return ""
        low, high = column.span or (0.0, 0.0)
        return "year" if _YEARS[0] <= low and high <= _YEARS[1] else "amount"
    full = [
        value for value in column.values if re.fullmatch(r"[^\W\d_a-z]\S*(?: [^\W\d_a-z]\S*){1,2}", value)
    ]
    return "person" if len(full) > MOSTLY * max(1, len(column.values)) else ""


def could_be(number: Value, column: Column) -> bool:
    """Whether a number lies among those of a column."""
    if not isinstance(number, int | float) or not column.numeric or column.span is None:
        return False
    return column.span[0] <= number <= column.span[1]


def is_id(column: Column) -> bool:
    """Whether a column counts rows and says nothing about them."""
    return column.name.casefold().endswith("id")
