"""How good is a router? Quality against the share of calls that go to the strong model.

Definitions as in RouteLLM (arXiv:2406.18665) and RouterBench (arXiv:2403.12031).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def curve(score: Values, weak: Values, strong: Values) -> tuple[Values, Values]:
    """Share of strong calls and mean quality, for every threshold on `score` (higher: rather the strong):
    [texts + 1] each. Texts of equal score go over together, in the mean."""
    order = np.argsort(-score, kind="stable")
    gains = (strong - weak)[order]
    for value in np.unique(score):
        tied = score[order] == value
        gains[tied] = gains[tied].mean()
    quality = weak.mean() + np.concatenate([[0.0], gains.cumsum()]) / len(score)
    return np.arange(len(score) + 1) / len(score), quality


def apgr(score: Values, weak: Values, strong: Values) -> float:
    """The mean share of the gap between weak and strong that is recovered, over all shares of calls; random
    routing gets 0.5. nan without a gap."""
    shares, quality = curve(score, weak, strong)
    gap = float(strong.mean() - weak.mean())
    if gap == 0:
        return float("nan")
    return float((np.trapezoid(quality, shares) - weak.mean()) / gap)


def cpt(score: Values, weak: Values, strong: Values, recovered: float) -> float:
    """The least share of strong calls that recovers a share of the gap; nan if none does."""
    shares, quality = curve(score, weak, strong)
    wanted = weak.mean() + recovered * (strong.mean() - weak.mean())
    enough = np.flatnonzero(quality >= wanted - 1e-12)
    return float(shares[enough[0]]) if len(enough) else float("nan")


def aiq(costs: Values, quality: Values, most: float | None = None) -> float:
    """Mean quality over costs from 0 to the dearest, under the non-decreasing convex hull of the points."""
    top = float(most if most is not None else costs.max())
    points = sorted(zip(costs.tolist(), quality.tolist(), strict=True))
    hull: list[tuple[float, float]] = []
    best = -np.inf
    for cost, value in points:
        if value <= best:
            continue
        best = value
        while len(hull) >= 2 and _below(hull[-2], hull[-1], (cost, value)):
            hull.pop()
        hull.append((cost, value))
    if hull[-1][0] < top:
        hull.append((top, hull[-1][1]))
    x, y = (np.array(side) for side in zip(*hull, strict=True))
    width = top - x[0]
    return float(np.trapezoid(y, x) / width) if width > 0 else float(y[-1])


def _below(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b lies on or below the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def best_of_n(proxy: Values, gold: Values, sizes: list[int]) -> list[float]:
    """The expected gold score of the best of n by proxy, for each n, over all subsets of N candidates of each
    text [texts, N]: exact, not drawn (arXiv:2310.02743)."""
    order = np.argsort(proxy, axis=1, kind="stable")
    ranked = np.take_along_axis(gold, order, 1)
    total = proxy.shape[1]
    result = []
    for n in sizes:
        # P(the best of n has rank i of N) = C(i - 1, n - 1) / C(N, n)
        logs = np.array([_choose(i - 1, n - 1) - _choose(total, n) for i in range(1, total + 1)])
        result.append(float((ranked * np.exp(logs)).sum(1).mean()))
    return result


def _choose(n: int, k: int) -> float:
    """The logarithm of n over k; -inf where k > n."""
    from math import lgamma

    return -np.inf if k > n else lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
