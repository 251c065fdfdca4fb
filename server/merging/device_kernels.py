"""The kernels of `kernels` with their arithmetic on a torch device.

Thresholds are selected, norms are summed and random numbers are drawn by the CPU, as without a device, so
that the same elements are kept and results differ by rounding at most. What is moved, a stretch of a tensor
at a time, is the thinning, the ranks by row, the election of signs and the sums. No GPU was at hand: this is
tested with torch's CPU as the device, and was never run or timed on another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from renga.server.merging.blocks import Blocks, Floats
from renga.server.merging.draws import Draws
from renga.server.merging.kernels import F64, Agreed, Kernel, Slerp, Stock, Thinned
from renga.server.merging.sparsity import Drawn, DrawnByRank, Largest, Middle, Rule

# Elements of an input that are moved at once.
STRETCH = 1 << 22


@dataclass(frozen=True)
class OnDevice:
    """A kernel that merges on `device`. PCB-Merging stays where it is."""

    kernel: Kernel
    device: torch.device

    @property
    def by_rows(self) -> bool:
        return self.kernel.by_rows

    @property
    def drawn(self) -> bool:
        return self.kernel.drawn

    def measure(self, blocks: Blocks, share: F64, draws: Draws) -> Any:
        return self.kernel.measure(blocks, share, draws)

    def merge(self, block: Floats, share: F64, facts: Any, start: int, columns: int, draws: Draws) -> Floats:
        kernel = self.kernel
        if not isinstance(kernel, Thinned | Slerp | Stock | Agreed):
            return kernel.merge(block, share, facts, start, columns, draws)
        x = torch.from_numpy(np.ascontiguousarray(block)).to(self.device)
        if isinstance(kernel, Thinned):
            merged = _thinned(kernel, x, share, facts, start, columns, draws)
        elif isinstance(kernel, Slerp):
            merged = _sum(x, facts)
        elif isinstance(kernel, Stock):
            merged = _sum(x, kernel.scale * share / share.sum())
            first = start // columns if kernel.by_rows else 0
            rows = merged.numel() // columns if kernel.by_rows else 1
            times = torch.from_numpy(facts[first : first + rows].astype(block.dtype)).to(self.device)
            merged = (merged.reshape(rows, -1) * times[:, None]).reshape(-1)
        else:
            merged = _agreed(kernel, x, share)
        found: Floats = merged.cpu().numpy()
        return found


def _sum(x: torch.Tensor, share: F64) -> torch.Tensor:
    """sum_k share_k x_k, in the order of the inputs."""
    total = x[0] * float(share[0])
    for update, factor in zip(x[1:], share[1:], strict=True):
        total += update * float(factor)
    return total


def _thinned(
    kernel: Thinned, x: torch.Tensor, share: F64, facts: Any, start: int, columns: int, draws: Draws
) -> torch.Tensor:
    rule_facts, growth = facts
    for which, update in enumerate(x):
        _thin(kernel.rule, update, which, start, columns, rule_facts, draws)
        if growth is not None:
            update *= growth[which]
    return (_elected(kernel, x, share) if kernel.elect else _sum(x, share)) * kernel.scale


def _thin(
    rule: Rule, update: torch.Tensor, which: int, start: int, columns: int, facts: Any, draws: Draws
) -> None:
    """`Rule.thin`, in place."""
    if isinstance(rule, Largest):
        update *= update.abs() >= facts[which]
    elif isinstance(rule, Middle):
        low, high = facts[which]
        update *= (update.abs() >= low) & (update.abs() <= high)
    elif isinstance(rule, Drawn) and rule.density[which] < 1:
        density = rule.density[which]
        kept = draws.words(which, start, update.numel()) < np.uint32(density * 2**32)
        update *= torch.from_numpy(kept).to(update.device)
        if rule.grow:
            update *= 1 / density
    elif isinstance(rule, DrawnByRank) and rule.density[which] < 1:
        words = (draws.words(which, start, update.numel()) >> np.uint32(8)).astype(np.float32)
        probability = _by_rank(rule.density[which], rule.epsilon[which], update, columns)
        update *= torch.from_numpy(words).to(update.device) < probability * 2**24
        if rule.grow:
            update /= probability


def _by_rank(density: float, epsilon: float, update: torch.Tensor, columns: int) -> torch.Tensor:
    """The probability that each element is kept (see `sparsity.DrawnByRank`), float32."""
    if columns == 1:
        return torch.full_like(update, density, dtype=torch.float32)
    order = update.abs().float().reshape(-1, columns).argsort(dim=1, stable=True)
    places = torch.arange(columns, dtype=torch.float32, device=update.device).expand(order.shape)
    ranks = torch.empty(order.shape, dtype=torch.float32, device=update.device).scatter_(1, order, places)
    step = np.float32(2 * epsilon / (columns - 1))
    return ranks.reshape(-1) * float(step) + float(np.float32(density - epsilon))


def _elected(kernel: Thinned, x: torch.Tensor, share: F64) -> torch.Tensor:
    """The sum, or with `divide` the mean, of what agrees with the elected sign."""
    for update, factor in zip(x, share, strict=True):
        update *= float(factor)
    votes = _sum(x, np.ones(len(x)))
    sign = votes.sign()
    if kernel.even == "positive":
        sign += votes == 0
    total, mass = torch.zeros_like(votes), torch.zeros_like(votes)
    for update, factor in zip(x, share, strict=True):
        agreed = (update * sign).clamp(min=0)
        total += agreed
        mass += (agreed > 0).to(mass.dtype) * float(factor)
    total *= sign
    return total / (mass + (mass == 0)) if kernel.divide else total


def _agreed(kernel: Agreed, x: torch.Tensor, share: F64) -> torch.Tensor:
    mean = _sum(x, share)
    active = torch.zeros(mean.shape, dtype=torch.int32, device=mean.device)
    for update in x:
        active += update.abs() >= (mean - update).abs() * kernel.strictness
    return mean * (active >= min(kernel.tasks, len(x))) * kernel.scale
