"""Neurons of two models matched by what they do: by the correlation of their activations on the same texts.

A match of n_a neurons of A with n_b of B is a pair of maps: `gather` [n_a, n_b] makes A's activations of B's,
and `spread` [n_b, n_a] the other way. For a permutation they are P and P^T. Between layers of unequal width
it is soft: the plan of entropic optimal transport from uniform to uniform, with 1 - correlation as cost
(Sinkhorn 1967; Cuturi, NeurIPS 2013; model fusion by it: Singh and Jaggi, arXiv:1910.05653), its rows divided
by their sums.

Brought into A's order, a matrix of B that reads space i and writes space o is gather_o W spread_i. That is
exact where B's neurons are A's, shuffled (arXiv:2209.04836) or split into equal copies. Where they aren't, it
loses what the nearest neurons don't share: see docs/benchmarks.md for when that still helps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from renga.errors import RengaError

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Match:
    """How neurons of B stand to those of A. `likeness`: the mean correlation of what is matched."""

    gather: F64  # [n_a, n_b], rows sum to 1
    spread: F64  # [n_b, n_a], rows sum to 1
    likeness: float


def correlations(a: NDArray[np.floating], b: NDArray[np.floating]) -> F64:
    """Between all neurons of a [places, n_a] and b [places, n_b], over the same places; 0 for silent ones."""
    if len(a) != len(b):
        raise RengaError(f"activations at {len(a)} and {len(b)} places can't be compared")
    result: F64 = _standard(a).T @ _standard(b)
    return result


def _standard(x: NDArray[np.floating]) -> F64:
    x = np.asarray(x, np.float64)
    x = x - x.mean(axis=0)
    lengths = np.linalg.norm(x, axis=0)
    standard: F64 = x / np.where(lengths > 0, lengths, 1.0)
    return standard


def permuted(likeness: F64) -> Match:
    """The one-to-one match with the greatest sum of likeness [n, n].

    By the Hungarian method where SciPy is there; else what a sharp transport plan suggests, which is the same
    where the best match is clear, and else close to it.
    """
    n = len(likeness)
    if likeness.shape != (n, n):
        raise RengaError(f"{n} neurons can't be matched one to one with {likeness.shape[1]}")
    order = _assignment(likeness)
    gather = np.zeros((n, n))
    gather[np.arange(n), order] = 1.0
    return Match(gather, gather.T.copy(), float(likeness[np.arange(n), order].mean()))


def _assignment(likeness: F64) -> NDArray[np.int64]:
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        return greedy(transport(likeness, sharpness=200.0))
    found: NDArray[np.int64] = linear_sum_assignment(likeness, maximize=True)[1]
    return found


def greedy(plan: F64) -> NDArray[np.int64]:
    """For every row a column of its own, the largest entries first."""
    order = np.full(len(plan), -1, np.int64)
    taken = np.zeros(plan.shape[1], bool)
    for place in np.argsort(-plan, axis=None, kind="stable"):
        row, column = divmod(int(place), plan.shape[1])
        if order[row] < 0 and not taken[column]:
            order[row], taken[column] = column, True
    return order


def softly(likeness: F64, sharpness: float = 50.0) -> Match:
    """The transport match of any two widths: likeness [n_a, n_b]."""
    plan = transport(likeness, sharpness)
    gather = plan / plan.sum(axis=1, keepdims=True)
    spread = plan.T / plan.T.sum(axis=1, keepdims=True)
    return Match(gather, spread, float((plan * likeness).sum()))


def transport(likeness: F64, sharpness: float, rounds: int = 500) -> F64:
    """The plan [n_a, n_b] with uniform margins that Sinkhorn's iteration in logarithms converges to.

    Stops when the margins are right to 1e-6, or after `rounds`. O(rounds n_a n_b).
    """
    n, m = likeness.shape
    score = sharpness * likeness
    u, v = np.zeros(n), np.zeros(m)
    for _ in range(rounds):
        u = -np.log(n) - _logsumexp(score + v, 1)
        v = -np.log(m) - _logsumexp(score.T + u, 1)
        off = np.exp(_logsumexp(score + v, 1) + u) - 1 / n
        if np.abs(off).sum() < 1e-6:
            break
    plan: F64 = np.exp(score + u[:, None] + v)
    return plan


def _logsumexp(x: F64, axis: int) -> F64:
    top = x.max(axis=axis, keepdims=True)
    result: F64 = (top + np.log(np.exp(x - top).sum(axis=axis, keepdims=True))).squeeze(axis)
    return result


def identity(n: int) -> Match:
    """Everybody is themselves."""
    return Match(np.eye(n), np.eye(n), 1.0)


def in_blocks(match: Match, width: int) -> Match:
    """A match of heads as one of the `width` neurons in each, which keep their places inside the head."""
    each: F64 = np.eye(width)
    gather, spread = (np.kron(x, each).astype(np.float64) for x in (match.gather, match.spread))
    return Match(gather, spread, match.likeness)


def likeness_of_layers(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Linear CKA (arXiv:1905.00414) of two layers' outputs [places, n_a], [places, n_b]: 0 to 1, whatever
    basis."""
    x, y = (np.asarray(z, np.float64) - np.mean(z, axis=0) for z in (a, b))
    joint = np.square(x.T @ y).sum()
    alone = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(joint / alone) if alone > 0 else 0.0


def layer_pairs(likeness: F64) -> NDArray[np.int64]:
    """For every layer of A one of B, never going back, with the greatest sum of likeness [layers_a,
    layers_b]."""
    n, m = likeness.shape
    best = np.full((n, m), -np.inf)
    best[0] = likeness[0]
    came = np.zeros((n, m), np.int64)
    for i in range(1, n):
        top = 0
        for j in range(m):
            top = j if best[i - 1, j] > best[i - 1, top] else top
            best[i, j], came[i, j] = best[i - 1, top] + likeness[i, j], top
    pairs = np.empty(n, np.int64)
    pairs[-1] = int(best[-1].argmax())
    for i in range(n - 1, 0, -1):
        pairs[i - 1] = came[i, pairs[i]]
    return pairs
