"""From updates of one tensor to the merged update, element by element: the kernels behind most methods.

A kernel first measures (thresholds, norms: passes over blocks that keep next to nothing) and then merges
block by block. `share` is what `shares` makes of the weights. Sums run over the inputs in the order given:
whoever wants bytes that don't depend on it puts the inputs into an order of their own first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from renga.server.merging.blocks import Blocks, Floats, spans
from renga.server.merging.draws import Draws
from renga.server.merging.sparsity import Rule

F64 = NDArray[np.float64]


class Kernel(Protocol):
    """A method, with its options."""

    @property
    def by_rows(self) -> bool:
        """Whether blocks must be whole rows."""

    @property
    def drawn(self) -> bool:
        """Whether it takes random numbers."""

    def measure(self, blocks: Blocks, share: F64, draws: Draws) -> Any:
        """What must be known of the whole tensor before any of it is merged."""

    def merge(self, block: Floats, share: F64, facts: Any, start: int, columns: int, draws: Draws) -> Floats:
        """The merged elements of a block [inputs, elements], which may be overwritten."""


def weighted_sum(block: Floats, share: F64 | Sequence[float]) -> Floats:
    """sum_k share_k block_k, in the block's precision."""
    factors = [block.dtype.type(s) for s in share]
    total: Floats = block[0] * factors[0]
    scratch = np.empty_like(total)
    for row, factor in zip(block[1:], factors[1:], strict=True):
        total += np.multiply(row, factor, out=scratch)
    return total


def inner(x: Floats, y: Floats) -> float:
    """x . y, by pieces of 256 in their own precision and in float64 beyond. Not by BLAS, whose order of
    adding depends on its threads."""
    whole = x.size // 256 * 256
    pieces = np.einsum("ij,ij->i", x[:whole].reshape(-1, 256), y[:whole].reshape(-1, 256))
    rest = (x[whole:] * y[whole:]).sum(dtype=np.float64)
    return float(pieces.sum(dtype=np.float64) + rest)


@dataclass(frozen=True)
class Thinned:
    """Updates thinned by a rule, then averaged; with `elect` only those that agree on the sign.

    Averaged: scale sum_k s_k d_k. Elected (TIES-Merging, arXiv:2306.01708): the sign of an element is that of
    sum_k s_k d_k, and the result the mean of those d_k that have it, weighted by their shares; where the sum
    is exactly zero nobody is right and the result is zero (`even="positive"`, mergekit's way, elects plus
    there). `divide` off leaves the sum of the elected instead of their mean.

    `grow="norm"` (mergekit's way for DARE and DELLA) multiplies what is kept of each input so that its L1
    norm is what it was, instead of by one over the probability to be kept. That is no longer without bias.
    """

    rule: Rule
    elect: bool = False
    scale: float = 1.0
    even: Literal["zero", "positive"] = "zero"
    divide: bool = True
    grow: Literal["rule", "norm"] = "rule"

    @property
    def by_rows(self) -> bool:
        return self.rule.by_rows

    @property
    def drawn(self) -> bool:
        return self.rule.drawn

    def measure(self, blocks: Blocks, share: F64, draws: Draws) -> Any:
        facts = self.rule.measure(blocks)
        return facts, self._growth(blocks, facts, draws) if self.grow == "norm" else None

    def _growth(self, blocks: Blocks, facts: Any, draws: Draws) -> list[float]:
        before, after = np.zeros(blocks.inputs), np.zeros(blocks.inputs)
        for start, stop in spans(blocks.size, blocks.columns if self.by_rows else 1):
            block = blocks.read(start, stop)
            before += np.abs(block).sum(axis=1, dtype=np.float64)
            for which, update in enumerate(block):
                self.rule.thin(update, which, start, blocks.columns, facts, draws)
            after += np.abs(block).sum(axis=1, dtype=np.float64)
        return [b / a if b >= 1e-7 and a >= 1e-7 else 1.0 for b, a in zip(before, after, strict=True)]

    def merge(self, block: Floats, share: F64, facts: Any, start: int, columns: int, draws: Draws) -> Floats:
        rule_facts, growth = facts
        for which, update in enumerate(block):
            self.rule.thin(update, which, start, columns, rule_facts, draws)
            if growth is not None:
                update *= block.dtype.type(growth[which])
        if self.elect:
            merged = self._elected(block, share)
        else:
            merged = weighted_sum(block, share)
        if self.scale != 1:
            merged *= block.dtype.type(self.scale)
        return merged

    def _elected(self, block: Floats, share: F64) -> Floats:
        factors = [block.dtype.type(s) for s in share]
        for update, factor in zip(block, factors, strict=True):
            update *= factor
        votes: Floats = np.add.reduce(block, axis=0)
        sign = np.sign(votes)
        if self.even == "positive":
            sign += votes == 0
        equal = len(set(factors)) == 1 and len(block) < 256  # then those that agree need only be counted
        total = np.zeros_like(votes)
        mass: NDArray[Any] = np.zeros(votes.shape, np.uint8 if equal else votes.dtype)
        scratch, agree = np.empty_like(votes), np.empty(votes.shape, np.bool_)
        for update, factor in zip(block, factors, strict=True):
            np.multiply(update, sign, out=scratch)
            np.maximum(scratch, 0, out=scratch)
            total += scratch
            if self.divide:
                np.greater(scratch, 0, out=agree)
                mass += agree.view(np.uint8) if equal else np.multiply(agree, factor, out=scratch)
        total *= sign
        if self.divide:
            mass += mass == 0  # there the total is zero, too
            total /= mass * factors[0] if equal else mass
        return total


@dataclass(frozen=True)
class Slerp:
    """On the great circle between two (Shoemake, SIGGRAPH 1985): with theta the angle between u and v and t
    the second's share, sin((1 - t) theta) / sin(theta) u + sin(t theta) / sin(theta) v. One input is itself.

    Vectors whose cosine is beyond +-`straight` are merged on the straight line, where the circle has no
    direction. mergekit draws that line at 0.9995, where the two differ by 1e-4; models tuned from one base
    are always beyond it. Costs one pass for the angle.
    """

    straight: float = 1 - 1e-10
    scale: float = 1.0
    by_rows = False
    drawn = False

    def measure(self, blocks: Blocks, share: F64, draws: Draws) -> F64:
        t = float(share[-1] / share.sum()) if len(share) > 1 else 0.0
        line: F64 = np.array([1 - t, t][: len(share)])
        if len(share) == 1:
            return line * self.scale
        uu = vv = uv = 0.0
        for start, stop in spans(blocks.size):
            u, v = blocks.read(start, stop)
            uu, vv, uv = uu + inner(u, u), vv + inner(v, v), uv + inner(u, v)
        lengths = np.sqrt(uu) * np.sqrt(vv)
        cosine = float(np.clip(uv / lengths, -1, 1)) if lengths > 0 else 0.0
        if not lengths > 0 or abs(cosine) > self.straight:
            return self.scale * line
        theta = np.arccos(cosine)
        circle: F64 = self.scale * np.sin(line * theta) / np.sin(theta)
        return circle

    def merge(self, block: Floats, share: F64, facts: Any, start: int, columns: int, draws: Draws) -> Floats:
        return weighted_sum(block, facts)


@dataclass(frozen=True)
class Stock:
    """Model Stock (arXiv:2403.19522): the mean update times t = n cos / (1 + (n - 1) cos), where cos is the
    mean cosine between two of the n updates; `by_rows` takes it row by row (filter-wise).

    Approximates the point nearest to the centre of all fine-tuned models. Weights enter the mean, and each
    pair of the cosine with the product of its two. Where the denominator vanishes the base is kept.
    """

    scale: float = 1.0
    by_rows: bool = False
    drawn = False

    def measure(self, blocks: Blocks, share: F64, draws: Draws) -> F64:
        n, columns = blocks.inputs, blocks.columns
        rows = blocks.size // columns if self.by_rows else 1
        if n == 1:
            return np.ones(rows)
        gram = np.zeros((rows, n, n))
        for start, stop in spans(blocks.size, columns if self.by_rows else 1):
            block = blocks.read(start, stop)
            where = slice(start // columns, stop // columns)
            for i in range(n):
                for j in range(i, n):
                    if self.by_rows:
                        x, y = (block[k].reshape(-1, columns).astype(np.float64) for k in (i, j))
                        gram[where, i, j] = (x * y).sum(axis=1)
                    else:
                        gram[0, i, j] += inner(block[i], block[j])
        lengths = np.sqrt(gram[:, range(n), range(n)])
        cosines, mass = np.zeros(rows), 0.0
        for i, j in combinations(range(n), 2):
            both = np.maximum(lengths[:, i] * lengths[:, j], 1e-12 * lengths.max(initial=0.0) ** 2 or 1.0)
            cosines += share[i] * share[j] * np.clip(gram[:, i, j] / both, -1, 1)
            mass += share[i] * share[j]
        cosines /= mass
        below = 1 + (n - 1) * cosines
        even = np.abs(below) < 1e-6
        return np.where(even, 0.0, n * cosines / np.where(even, 1.0, below))

    def merge(self, block: Floats, share: F64, facts: Any, start: int, columns: int, draws: Draws) -> Floats:
        mean = weighted_sum(block, self.scale * share / share.sum())
        if not self.by_rows:
            mean *= block.dtype.type(facts[0])
            return mean
        rows = slice(start // columns, start // columns + mean.size // columns)
        mean.reshape(-1, columns)[:] *= facts[rows, None].astype(mean.dtype)
        return mean


@dataclass(frozen=True)
class Agreed:
    """Consensus merging with TALL masks (arXiv:2405.07813): an element belongs to task k where
    |d_k| >= strictness |m - d_k|, m the mean update: where keeping m brings the model nearer to task k than
    dropping it. What belongs to fewer than `tasks` of the tasks is dropped from m.

    At strictness 1 a mask is the exact minimiser of the L1 distance; the paper tunes it. The paper's m is a
    scaled sum; with the mean, copies of one model agree on all of it.
    """

    strictness: float = 1.0
    tasks: int = 2
    scale: float = 1.0
    by_rows = False
    drawn = False

    def measure(self, blocks: Blocks, share: F64, draws: Draws) -> None:
        return None

    def merge(self, block: Floats, share: F64, facts: Any, start: int, columns: int, draws: Draws) -> Floats:
        mean = weighted_sum(block, share)
        active = np.zeros(mean.shape, np.int32)
        for update in block:
            distance = np.abs(mean - update)
            distance *= block.dtype.type(self.strictness)
            active += np.abs(update) >= distance
        mean *= active >= min(self.tasks, len(block))
        if self.scale != 1:
            mean *= block.dtype.type(self.scale)
        return mean
