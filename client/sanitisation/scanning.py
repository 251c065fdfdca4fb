"""The matches of many patterns in one text, sooner: only places where one can begin are tried.

`re` tries a pattern that begins with a look-behind, or ignores case, at every character of a text, and there are
hundreds of patterns. From the parsed pattern one can tell with which few characters a match must begin
(`beginnings`). So a text is gone through once, and every three characters of it say which patterns may begin
there. The matches are `finditer`'s, exactly; where the beginning can't be told, `finditer` is what runs.
"""

from __future__ import annotations

import re
import string
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import chain
from threading import Lock

from renga.client.sanitisation.beginnings import WIDTH, Beginnings, beginnings, folded
from renga.client.sanitisation.needs import BEYOND_ASCII, Needs, needs
from renga.client.sanitisation.patterns import Pattern

_LONG = 10_000
_MOST_GRAMS = 100_000
"""So many beginnings of a text are remembered with what they begin."""


class Scanned(Pattern):
    """A pattern that is looked for in whole texts; numbered as it is made."""

    def __init__(self, source: str, flags: int = 0) -> None:
        super().__init__(source, flags)
        with _making:
            self.number = len(_scanned)
            _scanned.append(self)

    @cached_property
    def begins(self) -> Beginnings | None:
        """With what a match of it begins; None if that can't be told."""
        return beginnings(self.source, self.flags)

    @cached_property
    def needs(self) -> Needs:
        """What a text that it matches in holds."""
        return needs(self.source, self.flags)


_making = Lock()
_scanned: list[Scanned] = []


def matches(pattern: Scanned, text: str) -> Iterator[re.Match[str]]:
    """`pattern.finditer(text)`."""
    begun = _last
    if begun.text is not text or pattern.number >= begun.size:
        begun = _begun(text)
    if pattern.begins is None:
        return pattern.finditer(text) if begun.can_hold(pattern.needs) else _NOTHING
    places = begun.places.get(pattern.number)
    return _tried(pattern, text, places) if places else _NOTHING


_NOTHING: Iterator[re.Match[str]] = iter(())


def _tried(pattern: Scanned, text: str, places: Iterable[int]) -> Iterator[re.Match[str]]:
    """Every match that begins at one of `places`, from left to right, without overlaps."""
    done, match = 0, pattern.match
    for at in places:
        if at >= done and (found := match(text, at)) is not None:
            yield found
            done = found.end()


class _Table:
    """What may begin with which characters, of some of the patterns."""

    def __init__(self, scanned: Sequence[Scanned]) -> None:
        heads: tuple[_Heads, _Heads] = defaultdict(list), defaultdict(list)
        for pattern in scanned:
            if (begins := pattern.begins) is not None:
                for head in begins.heads:
                    heads[begins.folds][head].append(pattern.number)
        self.anywhere = _Grams(heads, frozenset())
        self.after: dict[str, _Grams] = {}
        for chars in (string.ascii_letters, string.digits, " "):
            barred = {p.number for p in scanned if p.begins and p.begins.bars(chars)}
            self.after |= dict.fromkeys(chars, _Grams(heads, barred))

    def places(self, text: str) -> dict[int, array[int]]:
        """Where each of the patterns may begin in a text, if anywhere, in order."""
        found: dict[int, array[int]] = defaultdict(lambda: array("l"))
        grams_after, anywhere = self.after.get, self.anywhere
        for at, before in enumerate(chain("\n", text[:-1])):
            for number in grams_after(before, anywhere)[text[at : at + WIDTH]]:
                found[number].append(at)
        return dict(found)


_Heads = dict[str, list[int]]
"""The numbers of the patterns that begin so."""


class _Grams(dict[str, tuple[int, ...]]):
    """The numbers of the patterns that may begin with the key, found when first asked for."""

    def __init__(self, heads: tuple[_Heads, _Heads], barred: Collection[int]) -> None:
        """heads: of patterns that tell capitals from small letters, and of those that do not."""
        super().__init__()
        self._cased, self._folded = heads
        self._barred = barred

    def __missing__(self, gram: str) -> tuple[int, ...]:
        if len(self) > _MOST_GRAMS:
            self.clear()
        low, found = folded(gram), set[int]()
        for size in range(1, len(gram) + 1):
            found.update(self._cased.get(gram[:size], ()), self._folded.get(low[:size], ()))
        self[gram] = numbers = tuple(found.difference(self._barred))
        return numbers


@lru_cache(maxsize=1)
def _table(size: int) -> _Table:
    """Of all patterns made so far."""
    return _Table(_scanned[:size])


class _Begun:
    """Where the patterns may begin in one text, and what it holds."""

    def __init__(self, text: str, size: int) -> None:
        self.text = text
        self.size = size
        self.places = _table(size).places(text)

    @cached_property
    def _held(self) -> tuple[tuple[str, frozenset[str]], tuple[str, frozenset[str]]]:
        """The text and its characters, as they are and folded."""
        beyond = () if self.text.isascii() else (BEYOND_ASCII,)
        low = folded(self.text)
        return (self.text, frozenset((*self.text, *beyond))), (low, frozenset((*low, *beyond)))

    def can_hold(self, needs: Needs) -> bool:
        """False if what a pattern needs is not in the text."""
        text, chars = self._held[needs.folds]
        return needs.literal in text and not (needs.chars and needs.chars.isdisjoint(chars))


def _begun(text: str) -> _Begun:
    """Of the last few texts, the long ones by themselves: every pattern asks for the same ones."""
    global _last
    _last = begun = (_long if len(text) > _LONG else _short)(text, len(_scanned))
    return begun


_long = lru_cache(maxsize=3)(_Begun)
_short = lru_cache(maxsize=16)(_Begun)
_last = _Begun("", 0)
