"""Exact order statistics of magnitudes, by selection instead of sorting, in one pass and little memory.

Which magnitude has rank r (from the smallest, counted from 0)? Small arrays are partitioned. Of large ones a
sample says between which two values the answer lies, with a margin of five standard deviations; one pass
counts what is below and keeps what is between, a few percent; the partition of those few is the exact answer.
Should the sample mislead, the count shows it, and the pass is repeated on the side where the answer is.
(Floyd and Rivest, CACM 1975.) For 28 million float32 this takes 0.1 s and 2 MB; a full sort, mergekit's way,
4 s and 300 MB.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from renga.server.merging.blocks import Blocks, Floats, spans

_WHOLE = 1 << 17  # up to this size partitioning costs least
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass
class _Search:
    """The place of one rank: between `low` and `high`, both included."""

    input: int
    rank: int
    low: float
    high: float
    below: int = 0
    level: int = 0  # how many lie between, where they are all equal and none is kept
    between: list[Floats] = field(default_factory=list)

    def look(self, magnitudes: Floats) -> None:
        self.below += int(np.count_nonzero(magnitudes < self.low))
        if self.low == self.high:
            self.level += int(np.count_nonzero(magnitudes == self.low))
        else:
            inside = (magnitudes >= self.low) & (magnitudes <= self.high)
            self.between.append(magnitudes[inside])

    def answer(self) -> float | None:
        """The magnitude, or None, and then the bounds are where it must be."""
        place = self.rank - self.below
        found = np.concatenate(self.between) if self.between else np.empty(0)
        count = self.level + found.size
        if 0 <= place < count:
            return self.low if self.level else float(np.partition(found, place)[place])
        self.low, self.high = (0.0, self.low) if place < 0 else (self.high, math.inf)
        self.below, self.level, self.between = 0, 0, []
        return None


def order_statistics(blocks: Blocks, ranks: Sequence[Sequence[int]]) -> list[list[float]]:
    """Of every input the magnitudes with these ranks: the result is shaped as `ranks` [inputs][any].

    0 is the smallest magnitude, blocks.size - 1 the largest.
    """
    if blocks.size <= _WHOLE:
        magnitudes = np.abs(blocks.read(0, blocks.size))
        return [
            [float(x) for x in np.partition(row, sorted(set(mine)))[list(mine)]] if mine else []
            for row, mine in zip(magnitudes, ranks, strict=True)
        ]
    sample = np.sort(np.abs(blocks.take(_scattered(blocks.size))), axis=1)
    searches = [
        [_search(number, rank, sample[number], blocks.size) for rank in mine]
        for number, mine in enumerate(ranks)
    ]
    found: dict[int, float] = {}
    waiting = [search for mine in searches for search in mine]
    while waiting:
        for start, stop in spans(blocks.size):
            magnitudes = blocks.read(start, stop)
            np.abs(magnitudes, out=magnitudes)
            for search in waiting:
                search.look(magnitudes[search.input])
        answers = [(search, search.answer()) for search in waiting]
        found.update((id(search), value) for search, value in answers if value is not None)
        waiting = [search for search, value in answers if value is None]
    return [[found[id(search)] for search in mine] for mine in searches]


def _search(number: int, rank: int, sample: Floats, size: int) -> _Search:
    share, count = (rank + 0.5) / size, sample.size
    margin = 5 * math.sqrt(count * share * (1 - share)) + 2
    low, high = math.floor(share * count - margin), math.ceil(share * count + margin)
    return _Search(
        number,
        rank,
        float(sample[low]) if low >= 0 else 0.0,
        float(sample[high]) if high < count else math.inf,
    )


def _scattered(size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Places all over a tensor, one in every stretch of equal length, in step with no row."""
    count = 1 << 16 if size > 1 << 24 else 1 << 14
    steps = np.arange(count, dtype=np.float64)
    return np.minimum(((steps + steps * _GOLDEN % 1) * (size / count)).astype(np.int64), size - 1)
