"""Updates of one tensor by several inputs, read a block at a time.

What a kernel needs of its inputs: so that the same kernel merges a small array in memory and a tensor of
gigabytes that stays on disk. A block is [inputs, elements], of the flattened tensor; its size fits a core's
cache. Blocks begin where the tensor says, never where a file or a thread does: sums over blocks are then the
same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

# Elements of a block: 512 kB of float32 per input. With half of it threads wait for the interpreter's lock as
# long as they compute: TIES of four models takes 5.4 s instead of 4.4 on one core and gains nothing from two.
BLOCK = 1 << 17


class Blocks(Protocol):
    """Updates of a tensor by `inputs` models, `size` elements each, in rows of `columns`."""

    @property
    def inputs(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def columns(self) -> int: ...

    def read(self, start: int, stop: int) -> Floats:
        """The elements start .. stop of every input: [inputs, stop - start], the reader's to change."""

    def take(self, places: NDArray[np.int64]) -> Floats:
        """Single elements of every input: [inputs, places]."""


@dataclass(frozen=True)
class Held:
    """A stack [inputs, ...] that is in memory."""

    stack: Floats

    @property
    def inputs(self) -> int:
        return int(self.stack.shape[0])

    @property
    def size(self) -> int:
        return int(np.prod(self.stack.shape[1:], dtype=np.int64))

    @property
    def columns(self) -> int:
        return columns_of(self.stack.shape[1:])

    def read(self, start: int, stop: int) -> Floats:
        return self.stack.reshape(self.inputs, -1)[:, start:stop].copy()

    def take(self, places: NDArray[np.int64]) -> Floats:
        return self.stack.reshape(self.inputs, -1)[:, places]


@dataclass(frozen=True)
class Chained:
    """Several tensors as one, for what a paper measures over the whole model."""

    parts: Sequence[Blocks]

    @property
    def inputs(self) -> int:
        return self.parts[0].inputs

    @property
    def size(self) -> int:
        return int(self._starts[-1])

    @property
    def columns(self) -> int:
        return self.size

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(part.size for part in self.parts)], dtype=np.int64)

    def read(self, start: int, stop: int) -> Floats:
        found = []
        number = int(np.searchsorted(self._starts, start, side="right")) - 1
        while start < stop:
            begin, end = int(self._starts[number]), min(stop, int(self._starts[number + 1]))
            if end > start:
                found.append(self.parts[number].read(start - begin, end - begin))
            start, number = end, number + 1
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)

    def take(self, places: NDArray[np.int64]) -> Floats:
        home = np.searchsorted(self._starts, places, side="right") - 1
        found = self.parts[0].take(places[:0])
        result = np.empty((self.inputs, len(places)), found.dtype)
        for number in np.unique(home):
            mine = home == number
            result[:, mine] = self.parts[number].take(places[mine] - self._starts[number])
        return result


def columns_of(shape: Sequence[int]) -> int:
    """The length of a row: the last axis; a vector is one row, a scalar a row of one."""
    return max(1, int(shape[-1])) if shape else 1


def spans(size: int, columns: int = 1, length: int | None = None) -> Iterator[tuple[int, int]]:
    """The blocks of a tensor as (start, stop), each of whole rows and about `length` elements (BLOCK)."""
    length = max(1, (length or BLOCK) // columns) * columns
    for start in range(0, size, length):
        yield start, min(start + length, size)
