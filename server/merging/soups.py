"""Soups: the mean of many models, or of those that make it better (Wortsman et al., arXiv:2203.05482)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from renga.errors import UsageError
from renga.models.adapter import Adapter
from renga.server.merging.adapters import merge
from renga.server.merging.lowrank import Merged

Score = Callable[[Adapter], float]  # higher is better


@dataclass(frozen=True)
class Soup:
    """What was cooked: the mean, which inputs are in it, and the scores on the way."""

    merged: Merged
    ingredients: tuple[int, ...]
    score: float
    trace: tuple[tuple[int, float, bool], ...]  # the input tried, the score with it, whether it stayed


def greedy(
    adapters: Sequence[Adapter], score: Score, weights: Sequence[float] | None = None, **settings: Any
) -> Soup:
    """The greedy soup: from the best on, each input stays in the mean if the score does not fall by it.

    Costs 2 N scores at most. Never worse on its data than the best input; `settings` go to `merge`.
    """
    if not adapters:
        raise UsageError("there is nothing to merge", hint="give adapters")
    given = [1.0] * len(adapters) if weights is None else list(weights)
    alone = [score(adapter) for adapter in adapters]
    order = sorted(range(len(adapters)), key=lambda k: (-alone[k], k))
    chosen = [order[0]]
    best = merge([adapters[order[0]]], "average", [1.0], **settings)
    height = alone[order[0]]
    trace = [(order[0], height, True)]
    for k in order[1:]:
        pot = [*chosen, k]
        tried = merge([adapters[i] for i in pot], "average", [given[i] for i in pot], **settings)
        reached = score(tried.adapter)
        stays = reached >= height
        trace.append((k, reached, stays))
        if stays:
            chosen, best, height = pot, tried, reached
    return Soup(best, tuple(sorted(chosen)), height, tuple(trace))


def uniform(adapters: Sequence[Adapter], score: Score, **settings: Any) -> Soup:
    """The uniform soup: the mean of all, with its score."""
    merged = merge(adapters, "average", **settings)
    height = score(merged.adapter)
    return Soup(merged, tuple(range(len(adapters))), height, ())
