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


_making = Lock()
_scanned: list[Scanned] = []


def matches(pattern: Scanned, text: str) -> Iterator[re.Match[str]]:
    """`pattern.finditer(text)`."""
    places = _begun(text).places(pattern.number)
    if places is None:
        return pattern.finditer(text)
    return _tried(pattern, text, places) if places else iter(())


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
        self.size = len(scanned)
        self.untold = frozenset(pattern.number for pattern in scanned if pattern.begins is None)
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
    """Where the patterns may begin in one text. One that is made later is found when it is asked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._read()

    def _read(self) -> None:
        self._table = _table(len(_scanned))
        self._places = self._table.places(self._text)

    def places(self, number: int) -> Sequence[int] | None:
        """None for a pattern of which they can't be told."""
        if number >= self._table.size:
            self._read()
        if number in self._table.untold:
            return None
        return self._places.get(number, ())


def _begun(text: str) -> _Begun:
    """Of the last few texts, the long ones by themselves: every pattern asks for the same ones."""
    return _long(text) if len(text) > _LONG else _short(text)


_long = lru_cache(maxsize=3)(_Begun)
_short = lru_cache(maxsize=16)(_Begun)
