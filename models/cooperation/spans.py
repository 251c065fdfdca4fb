"""Places in a text, and the sentences and words at them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+(?:[.,'’-][^\W_]+)*")
# A sentence ends at its mark, with what closes behind it, before a space; or at a line's end.
_END = re.compile(r"(?:[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]+[」』]*|\n+)")
# Words whose full stop ends nothing.
_SHORT = re.compile(
    r"mr|mrs|ms|dr|prof|st|jr|sr|vs|etc|no|nos|vol|fig|pp|ca|approx|inc|ltd|co|corp|e\.g|i\.e|cf|al"
)


@dataclass(frozen=True, order=True)
class Span:
    """Characters `start` to `end` of a text, `end` not among them."""

    start: int
    end: int

    def of(self, text: str) -> str:
        return text[self.start : self.end]

    @property
    def length(self) -> int:
        return self.end - self.start

    def meets(self, other: Span) -> bool:
        """Whether the two have a character in common."""
        return self.start < other.end and other.start < self.end


def sentences(text: str) -> list[Span]:
    """The sentences of `text`, without the space around them; together they hold all but spaces."""
    found, start = [], 0
    for mark in _END.finditer(text):
        if mark[0] == "." and _goes_on(text, mark.start(), mark.end()):
            continue
        found.append(Span(start, mark.end()))
        start = mark.end()
    found.append(Span(start, len(text)))
    return [bare for span in found if (bare := trimmed(text, span)).length]


def trimmed(text: str, span: Span) -> Span:
    """The span without the spaces at its ends."""
    part = span.of(text)
    left = len(part) - len(part.lstrip())
    return Span(span.start + left, span.start + max(left, len(part.rstrip())))


def words(text: str) -> list[Span]:
    """The words and numbers of `text`; "3,141.5" and "mother-in-law" are one each."""
    return [Span(*found.span()) for found in _WORD.finditer(text)]


def tokens(text: str) -> list[str]:
    """The words of `text` as they are compared: case-folded, and one by one where a script has no spaces."""
    folded = text.casefold()
    parts = [folded[span.start : span.end] for span in words(folded)]
    return [token for part in parts for token in _unspaced(part)]


def _unspaced(word: str) -> list[str]:
    if not any("\u3040" <= letter <= "\u9fff" for letter in word):
        return [word]
    return [word[i : i + 2] for i in range(max(1, len(word) - 1))]  # pairs of characters, as is usual there


def _goes_on(text: str, at: int, end: int) -> bool:
    """Whether the full stop at `at` belongs to an abbreviation or an initial."""
    before = re.search(r"[^\s(\"“]*$", text[max(0, at - 12) : at])
    word = before[0] if before else ""
    if _SHORT.fullmatch(word.casefold()) or re.fullmatch(r"[A-Z]", word):
        return bool(text[end:].strip())
    return False
