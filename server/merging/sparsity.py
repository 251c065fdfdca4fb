"""Which elements of an update are kept, and by how much the kept ones grow: the first half of most kernels.

Every rule is measured once per tensor (`measure`: thresholds of each input) and then applied block by block
(`thin`). Densities are shares of the elements that are kept, in (0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from renga.errors import UsageError
from renga.server.merging.blocks import Blocks, Floats
from renga.server.merging.draws import Draws
from renga.server.merging.selection import order_statistics


class Rule(Protocol):
    """What to keep of an update."""

    @property
    def by_rows(self) -> bool:
        """Whether blocks must be whole rows."""

    @property
    def drawn(self) -> bool:
        """Whether it takes random numbers."""

    def measure(self, blocks: Blocks) -> Any:
        """What must be known of all elements before any is thinned."""

    def thin(self, update: Floats, which: int, start: int, columns: int, facts: Any, draws: Draws) -> None:
        """Set to zero what is dropped of a block [elements] of input `which`, in place."""


@dataclass(frozen=True)
class Everything:
    """All is kept."""

    by_rows = False
    drawn = False

    def measure(self, blocks: Blocks) -> None:
        return None

    def thin(self, update: Floats, which: int, start: int, columns: int, facts: Any, draws: Draws) -> None:
        pass


@dataclass(frozen=True)
class Largest:
    """The share `density` of largest magnitude (TIES-Merging's trim, arXiv:2306.01708, section 4).

    Elements that tie with the smallest of these are kept, too.
    """

    density: tuple[float, ...]
    by_rows = False
    drawn = False

    def measure(self, blocks: Blocks) -> list[float]:
        kept = [max(1, int(density * blocks.size)) for density in self.density]
        ranks = [[blocks.size - k] if k < blocks.size else [] for k in kept]
        return [(found or [0.0])[0] for found in order_statistics(blocks, ranks)]

    def thin(self, update: Floats, which: int, start: int, columns: int, facts: Any, draws: Draws) -> None:
        if facts[which] > 0:
            update *= np.abs(update) >= facts[which]


@dataclass(frozen=True)
class Middle:
    """The share `density` below the share `outliers` of largest magnitude (Model Breadcrumbs,
    arXiv:2312.06795): layer-wise, both the smallest and the very largest changes are dropped.

    Where the two shares sum to more than one, fewer outliers are dropped.
    """

    density: tuple[float, ...]
    outliers: tuple[float, ...]
    by_rows = False
    drawn = False

    def measure(self, blocks: Blocks) -> list[tuple[float, float]]:
        ranks = []
        for density, outliers in zip(self.density, self.outliers, strict=True):
            kept = max(1, int(density * blocks.size))
            low = max(0, blocks.size - kept - int(outliers * blocks.size))
            ranks.append([low, low + kept - 1] if kept < blocks.size else [])
        found = order_statistics(blocks, ranks)
        return [(pair[0], pair[1]) if pair else (0.0, np.inf) for pair in found]

    def thin(self, update: Floats, which: int, start: int, columns: int, facts: Any, draws: Draws) -> None:
        low, high = facts[which]
        if (low, high) != (0.0, np.inf):
            magnitudes = np.abs(update)
            update *= (magnitudes >= low) & (magnitudes <= high)


@dataclass(frozen=True)
class Drawn:
    """Each element with probability `density`, grown by 1 / density (DARE, arXiv:2311.03099): the mean over
    the seeds is the update itself. `grow` off leaves the kept ones as they are."""

    density: tuple[float, ...]
    grow: bool = True
    by_rows = False
    drawn = True

    def measure(self, blocks: Blocks) -> None:
        return None

    def thin(self, update: Floats, which: int, start: int, columns: int, facts: Any, draws: Draws) -> None:
        density = self.density[which]
        if density >= 1:
            return
        update *= draws.words(which, start, update.size) < np.uint32(density * 2**32)
        if self.grow:
            update *= update.dtype.type(1 / density)


@dataclass(frozen=True)
class DrawnByRank:
    """Each element with a probability that grows linearly with the rank of its magnitude in its row, from
    density - epsilon to density + epsilon, grown by one over its own probability (MagPrune of DELLA-Merging,
    arXiv:2406.11617, section 3): the mean over the seeds is the update itself. Rows of one element have no
    ranks: they are kept with probability `density`.

    Costs a sort of every row, of (magnitude, place) packed into 64 bits: 12 ns an element.
    """

    density: tuple[float, ...]
    epsilon: tuple[float, ...]
    grow: bool = True
    by_rows = True
    drawn = True

    def __post_init__(self) -> None:
        for density, epsilon in zip(self.density, self.epsilon, strict=True):
            if density < 1 and not (density - epsilon > 0 and density + epsilon < 1 and epsilon >= 0):
                raise UsageError(
                    f"density {density:g} with epsilon {epsilon:g} leaves the probabilities 0 to 1",
                    hint="density - epsilon must be above 0 and density + epsilon below 1",
                )

    def measure(self, blocks: Blocks) -> None:
        return None

    def thin(self, update: Floats, which: int, start: int, columns: int, facts: Any, draws: Draws) -> None:
        density, epsilon = self.density[which], self.epsilon[which]
        if density >= 1:
            return
        if columns == 1:
            kept = np.full(update.size, density, np.float32)
        else:
            step = np.float32(2 * epsilon / (columns - 1))
            kept = _ranks(update.reshape(-1, columns)).reshape(-1) * step
            kept += np.float32(density - epsilon)
        words = draws.words(which, start, update.size) >> np.uint32(8)  # 24 bits: exact in float32
        update *= words < kept * np.float32(2**24)
        if self.grow:
            update /= kept


def _ranks(rows: Floats) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """The rank of each magnitude in its row, 0 for the smallest; of equals the first comes first."""
    count, columns = rows.shape
    # A float32 that is not negative sorts as its bits do; float64 is rounded to it for the order only.
    bits = np.abs(rows, dtype=np.float32, casting="same_kind").view(np.uint32)
    packed = bits.astype(np.uint64)
    packed <<= np.uint64(32)
    packed |= np.arange(columns, dtype=np.uint64)
    packed.sort(axis=1)
    order = (packed & np.uint64(0xFFFFFFFF)).astype(np.int64)
    order += np.arange(count, dtype=np.int64)[:, None] * columns
    ranks = np.empty(count * columns, np.float32)
    ranks[order.reshape(-1)] = np.tile(np.arange(columns, dtype=np.float32), count)
    return ranks.reshape(count, columns)
