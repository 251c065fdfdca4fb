"""PCB-Merging: parameters compete inside a task and between tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.server.merging.blocks import Blocks, Floats, spans
from renga.server.merging.draws import Draws
from renga.server.merging.selection import order_statistics

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Balanced:
    """PCB-Merging (arXiv:2410.02396): parameters compete inside a task and between tasks. With N(x) = (x -
    min) / (max - min) over the tensor and the softmax over its elements,

        beta_k = softmax(n N(d_k d_k)) * sum_j softmax(N(d_k d_j)),

    the elements of task k whose beta_k is not among the share `density` of largest are dropped, and the
    result is the mean of what is left, weighted by share and beta: sum_k s_k beta_k d_k / sum_k s_k beta_k.

    The authors' code differs from their formula (a square and tanh for the softmaxes, outliers clamped); this
    is the formula. Costs three passes of n^2 products and one for the thresholds.
    """

    density: tuple[float, ...]
    scale: float = 1.0
    by_rows = False
    drawn = False

    def measure(self, blocks: Blocks, share: F64, draws: Draws) -> tuple[_Scores, list[float]]:
        n = blocks.inputs
        low, high = np.full((n, n), np.inf), np.full((n, n), -np.inf)
        for start, stop in spans(blocks.size):
            block = blocks.read(start, stop)
            for i in range(n):
                products = block[i:] * block[i]
                low[i, i:] = np.minimum(low[i, i:], products.min(axis=1))
                high[i, i:] = np.maximum(high[i, i:], products.max(axis=1))
        width = np.where(high > low, high - low, 1.0)
        scores = _Scores(blocks, low, width, np.ones((n, n)), np.ones(n))
        between, inside = np.zeros((n, n)), np.zeros(n)
        for start, stop in spans(blocks.size):
            block = blocks.read(start, stop)
            for i in range(n):
                inside[i] += np.exp(n * scores.level(block, i, i)).sum(dtype=np.float64)
                for j in range(i, n):
                    between[i, j] += np.exp(scores.level(block, i, j)).sum(dtype=np.float64)
        # Means instead of sums under the fraction: a common factor, and float32 stays in its range.
        scores = _Scores(blocks, low, width, between / blocks.size, inside / blocks.size)
        kept = [max(1, int(density * blocks.size)) for density in self.density]
        return scores, [found[0] for found in order_statistics(scores, [[blocks.size - k] for k in kept])]

    def merge(self, block: Floats, share: F64, facts: Any, start: int, columns: int, draws: Draws) -> Floats:
        scores, thresholds = facts
        beta = scores.of(block)
        total: Floats = np.zeros_like(block[0])
        mass = np.zeros_like(total)
        for which, update in enumerate(block):
            weight = beta[which] * block.dtype.type(share[which])
            weight *= beta[which] >= thresholds[which]
            mass += weight
            total += np.multiply(update, weight, out=weight)
        np.divide(total, mass, out=total, where=mass != 0)
        total *= block.dtype.type(self.scale)
        return total


@dataclass(frozen=True)
class _Scores:
    """The betas of PCB-Merging, as blocks: computed where they are read. Matrices are upper triangles."""

    blocks: Blocks
    low: F64
    width: F64
    between: F64
    inside: F64

    @property
    def inputs(self) -> int:
        return self.blocks.inputs

    @property
    def size(self) -> int:
        return self.blocks.size

    @property
    def columns(self) -> int:
        return self.blocks.columns

    def read(self, start: int, stop: int) -> Floats:
        return self.of(self.blocks.read(start, stop))

    def take(self, places: NDArray[np.int64]) -> Floats:
        return self.of(self.blocks.take(places))

    def level(self, block: Floats, i: int, j: int) -> Floats:
        """N(d_i d_j), i <= j."""
        kind = block.dtype.type
        level: Floats = (block[i] * block[j] - kind(self.low[i, j])) * kind(1 / self.width[i, j])
        return level

    def of(self, block: Floats) -> Floats:
        n, kind = len(block), block.dtype.type
        beta = np.zeros_like(block)
        for i in range(n):
            for j in range(i, n):
                part = np.exp(self.level(block, i, j)) * kind(1 / self.between[i, j])
                beta[i] += part
                if i != j:
                    beta[j] += part
        for i in range(n):
            beta[i] *= np.exp(n * self.level(block, i, i)) * kind(1 / self.inside[i])
        return beta
