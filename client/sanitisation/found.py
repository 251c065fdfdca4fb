"""What recognisers yield: spans in a shadow, and how near the words stand that give a number its meaning."""

from __future__ import annotations

from typing import NamedTuple

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.patterns import Pattern

WINDOW = 48
"""How many characters before a value its label may stand; after it, half of that."""


_SENTENCE_END = Pattern(r"[.;] |[。\n]")


def any_of(words: str) -> str:
    """An alternation of what white space separates, in this order."""
    return "|".join(words.split())


class Found(NamedTuple):
    """A span of a shadow's text; `certainty` as in Entity."""

    start: int
    end: int
    kind: Kind
    certainty: float = 0.9


def near(words: Pattern, text: str, start: int, end: int, before: int = WINDOW) -> bool:
    """Does one of `words` stand shortly before the span (or, less far, after it)?"""
    if words.search(text, max(0, start - before), start):
        return True
    after = text[end : end + before // 2]
    return words.search(_SENTENCE_END.split(after, maxsplit=1)[0]) is not None


def before(words: Pattern, text: str, start: int, reach: int = WINDOW) -> bool:
    """Does one of `words` stand shortly before `start`?"""
    return words.search(text, max(0, start - reach), start) is not None


def digits_of(text: str) -> str:
    """The ASCII digits of a text."""
    return "".join(c for c in text if "0" <= c <= "9")
