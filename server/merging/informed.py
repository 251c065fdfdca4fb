"""Merging weighted by what texts say of each parameter: Fisher merging and RegMean, on low-rank updates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from renga.errors import UsageError
from renga.server.merging.lowrank import F64, Product
from renga.server.merging.parts import Module, Parts

if TYPE_CHECKING:
    from renga.server.merging.gathered import Statistics


def fisher(parts: Parts, *, statistics: Statistics | None = None, floor: float = 1e-6) -> dict[str, Product]:
    """Fisher merging (arXiv:2111.09832): M = sum_k w_k F_k M_k / sum_k w_k F_k, coordinate by coordinate.

    F_k is the diagonal Fisher information of adapter k in the common coordinates (see `gathered`): each
    coordinate is decided by those whose predictions depend on it. Approximates the mode of the product of the
    adapters' posteriors, taken to be normal with independent coordinates. `floor`, a share of the mean F,
    makes it the plain mean where nothing is known. Costs no more than the average, beside the statistics.
    """
    known = _needed(statistics)

    def merged(module: Module) -> Product:
        stack = _coordinates(module, known)
        information = np.stack(known.of(known.fisher, parts, module.name))
        information = information + max(floor * float(information.mean()), 1e-300)
        weights = np.array(module.weights)[:, None, None] * information
        return known.bases[module.name].product((weights * stack).sum(axis=0) / weights.sum(axis=0))

    return parts.each(merged)


def regmean(
    parts: Parts, *, statistics: Statistics | None = None, shrink: float = 0.9, ridge: float = 1e-6
) -> dict[str, Product]:
    """RegMean (arXiv:2212.09849): the update whose outputs are nearest to each adapter's on its own inputs.

    M = (sum_k w_k M_k G_k)(sum_k w_k G_k)^-1 minimises sum_k w_k |(M - M_k) X_k|^2, G_k = X_k X_k^T with what
    lies off its diagonal times `shrink` (the paper's 0.9), `ridge` a share of the mean diagonal that is
    added. In the space "knots" X_k are the module's inputs and this is the paper's formula, [in, in] a
    module; in "core" they are the inputs as the adapters see them, V^T X_k, which keeps the update in the
    adapters' row space, and q^2 numbers a module.
    """
    known = _needed(statistics)
    if not 0 <= shrink <= 1:
        raise UsageError(f"shrink is {shrink:g}", hint="a share between 0 and 1")

    def merged(module: Module) -> Product:
        stack = _coordinates(module, known)
        right, total = np.zeros(stack.shape[1:]), np.zeros((stack.shape[2],) * 2)
        for weight, update, gram in zip(
            module.weights, stack, known.of(known.gram, parts, module.name), strict=True
        ):
            shrunk = shrink * gram + (1 - shrink) * np.diag(np.diag(gram))
            shrunk += max(ridge * np.trace(gram) / len(gram), 1e-300) * np.eye(len(gram))
            right += weight * update @ shrunk
            total += weight * shrunk
        solved: F64 = np.asarray(np.linalg.solve(total, right.T), np.float64).T
        return known.bases[module.name].product(solved)

    return parts.each(merged)


def _needed(statistics: Statistics | None) -> Statistics:
    if statistics is None:
        raise UsageError(
            "this method needs statistics", hint="`gathered.measured` takes them from a few texts"
        )
    return statistics


def _coordinates(module: Module, statistics: Statistics) -> F64:
    """The updates in the statistics' bases."""
    base = statistics.bases[module.name]
    assert base.left is not None
    found = []
    for b, a in zip(module.b, module.a, strict=True):
        found.append((base.left.T @ b) @ (a if base.right is None else a @ base.right.T))
    return np.stack(found)
