"""Where many patterns can begin in one long text: its places sorted once by their next three characters.

A hundred patterns that each look through a megabyte take longer than what they find. Here every beginning of
a pattern is a range in one sorted array, so that a further pattern costs a few binary searches and its hits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LONG = 20_000
"""From so many characters on sorting is worth it."""
WIDTH = 3
"""So many characters of a beginning are told apart."""

_BITS = 21
"""Of one code point."""
Places = NDArray[np.int64]


class Sorted:
    """The places of one text."""

    def __init__(self, text: str) -> None:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)
        padded = np.concatenate([codes, np.zeros(WIDTH, dtype=np.int64)])
        keys = np.zeros(len(codes), dtype=np.int64)
        for at in range(WIDTH):
            keys = (keys << _BITS) | padded[at : at + len(codes)]
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        self._codes = codes
        self._seen = np.zeros(int(codes.max(initial=0)) + 1, dtype=np.bool_)
        self._seen[codes] = True
        self._used = np.nonzero(self._seen)[0]
        self._guards: dict[str, NDArray[np.bool_]] = {}

    def places(self, heads: Iterable[str], before: str) -> list[int]:
        """Where one of `heads` (at most WIDTH characters each, none the beginning of another) stands, in order,
        and no character of the class `before` ("" for none) before it."""
        low = np.array([_key(head, 0) for head in heads], dtype=np.int64)
        high = np.array([_key(head, (1 << _BITS) - 1) for head in heads], dtype=np.int64)
        first, last = np.searchsorted(self._keys, low), np.searchsorted(self._keys, high, "right")
        ranges = [self._order[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True) if a < b]
        if not ranges:
            return []
        found: Places = np.sort(np.concatenate(ranges))
        if before:
            found = found[self._may_follow(before)[found]]
        listed: list[int] = found.tolist()
        return listed

    def _may_follow(self, before: str) -> NDArray[np.bool_]:
        """For every place, whether the character before it is outside of a class."""
        if before not in self._guards:
            member = re.compile(before)
            outside = np.ones(len(self._seen), dtype=np.bool_)
            outside[self._used] = [member.match(chr(code)) is None for code in self._used.tolist()]
            self._guards[before] = np.concatenate([np.ones(1, dtype=np.bool_), outside[self._codes[:-1]]])
        return self._guards[before]


def _key(head: str, rest: int) -> int:
    """The key of a place where `head` stands and then nothing but the code point `rest`."""
    key = 0
    for at in range(WIDTH):
        key = (key << _BITS) | (ord(head[at]) if at < len(head) else rest)
    return key


@lru_cache(maxsize=8)
def sorted_places(text: str) -> Sorted:
    """Of the last few texts: every pattern asks for the same ones."""
    return Sorted(text)
