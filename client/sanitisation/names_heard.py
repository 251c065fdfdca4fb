"""What is said around names in one text: where announcements end, whether it speaks of somebody at hand."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from renga.client.sanitisation import name_cues as cues
from renga.client.sanitisation.lexicon import listed, words
from renga.client.sanitisation.names_of_nobody import Nobody, nobody
from renga.client.sanitisation.names_placed import Places
from renga.client.sanitisation.scanning import Scanned, matches


class Said(NamedTuple):
    """What stands before a candidate: a label, a title, what certainly or only perhaps announces a name."""

    label: bool
    titled: bool
    strong: bool
    greeting: bool
    weak: bool
    personal: bool
    """Is the text as a whole about somebody at hand: first persons, contacts, greetings?"""
    casual: bool
    """Is it written without capitals, so that a name has none either?"""
    public: Sequence[tuple[int, int]]
    """Where a word of books, history, politics or fame stands."""
    firm: bool
    """Does it stand where only a person does?"""
    handing: bool
    """Does something that is handed follow, if it is a person?"""
    loose: bool
    """Or where persons and things do?"""
    unsure: bool
    """Does the text speak of programs, or another language than English? Unknown words are then no names."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Where in a text announcements end; found once, asked for every candidate."""

    label: frozenset[int]
    titled: frozenset[int]
    strong: frozenset[int]
    greeting: frozenset[int]
    weak: frozenset[int]
    personal: bool
    casual: bool
    public: Sequence[tuple[int, int]]
    nobody: Nobody
    places: Places
    unsure: bool

    @classmethod
    def in_text(cls, text: str) -> Heard:
        def ends(*patterns: Scanned) -> frozenset[int]:
            return frozenset(m.end() for pattern in patterns for m in matches(pattern, text))

        places = Places.in_text(text)
        return cls(
            ends(cues.LABEL),
            ends(cues.TITLED),
            ends(cues.STRONG, cues.ROLE),
            ends(cues.GREETING),
            ends(cues.WEAK, cues.MARKS),
            cues.PERSONAL.search(text) is not None,
            _is_casual(text),
            [] if cues.DEALINGS.search(text) else [m.span() for m in matches(cues.PUBLIC_TALK, text)],
            nobody(text),
            places,
            places.trade or _is_foreign(text),
        )

    def before(self, text: str, start: int) -> Said:
        label, titled = start in self.label, start in self.titled
        strong = label or titled or start in self.strong
        greeting = strong or start in self.greeting
        opens = start == 0 or text[start - 1] == "\n" or not text[max(0, start - 60) : start].strip()
        return Said(
            label,
            titled,
            strong,
            greeting,
            greeting or opens or start in self.weak,
            self.personal,
            self.casual,
            self.public,
            start in self.places.firm,
            start in self.places.hands,
            start in self.places.loose,
            self.unsure,
        )


_WRITTEN = re.compile(r"[A-Za-zÀ-ɏ]+")
_ABROAD = listed("words of other languages") - words()
_CODE = re.compile(r"[{};]\s*\n|(?:^|\n)\s*(?:def|class|import|function|const|SELECT|\$)\s|=>|==|\(\)")


def _is_casual(text: str) -> bool:
    """Are hardly any of its words capitals (`I` aside), and is it no code?"""
    tokens = _WRITTEN.findall(text[:4000])
    capital = sum(token[0].isupper() and token != "I" for token in tokens)
    return len(tokens) > 0 and capital * 12 <= len(tokens) and _CODE.search(text[:4000]) is None


def _is_foreign(text: str) -> bool:
    """Do words of other languages stand in it, beyond those that English has, too?"""
    met = {token for token in _WRITTEN.findall(text[:2000]) if token in _ABROAD}
    return len(met) > 1


def public_talk(text: str, start: int, end: int, said: Sequence[tuple[int, int]]) -> bool:
    """Is the sentence about books, history, politics, fame? said: where a word for these stands, in order."""
    at = bisect_right(said, (start, start)) - 1
    if at >= 0:
        left = max(start - 90, 0, *(text.rfind(mark, max(0, start - 90), start) for mark in ".!?\n"))
        if said[at][0] >= left and said[at][1] <= start:
            return True
    return cues.WORK.match(text, end) is not None
