"""Merging by the singular directions of updates, in the low-rank basis: TSV-Merge, Iso-C and Iso-CTS.

With R the sum of ranks all of it costs O((out + in) R^2 + R^3) a module, and depends neither on how an update
was split into factors nor on the basis it is written in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from renga.errors import UsageError
from renga.server.merging.lowrank import Product, svd_of_product
from renga.server.merging.parts import Module, Parts

F64 = NDArray[np.float64]


def tsv(parts: Parts, *, share: float = 1.0) -> dict[str, Product]:
    """Task Singular Vectors (arXiv:2412.00081): singular vectors of all tasks, made orthogonal to each other.

    Of task k the leading K = min(r_k, share min(out, in) / N) triplets u, w_k s, v are kept; U and V, all of
    them side by side, are replaced by the nearest matrices with orthonormal columns (U (U^T U)^-1/2), and the
    update is U S V^T. Approximates each task by its leading directions; tasks that share none add up
    undisturbed. The paper's sum is a mean here: `scale` N gives the sum.
    """
    if not 0 < share <= 1:
        raise UsageError(f"share is {share:g}", hint="a share of the singular values, above 0 and at most 1")

    def merged(module: Module) -> Product:
        tasks, room = len(module.b), share * min(module.shape)
        us, ss, vs = [], [], []
        for b, a, weight in zip(module.b, module.a, module.weights, strict=True):
            u, s, vt = svd_of_product(b, a)
            keep = max(1, min(len(s), b.shape[1], int(room / tasks))) if len(s) else 0
            us.append(u[:, :keep])
            ss.append(weight * s[:keep])
            vs.append(vt[:keep].T)
        left, right = (_nearest_orthonormal(np.concatenate(side, axis=1)) for side in (us, vs))
        return Product(left * np.concatenate(ss), right.T)

    return parts.each(merged)


def iso_c(parts: Parts) -> dict[str, Product]:
    """Isotropic merging in the common subspace (arXiv:2502.04959): every direction of the mean counts the
    same.

    sum_k w_k dW_k = U S V^T becomes mean(S) U V^T, over the directions that the adapters have: at most R of
    them. (The paper's code averages over min(out, in) values, most of them zero, and gives the mean to
    directions that nobody trained.) Approximates nothing: it changes the mean on purpose.
    """

    def merged(module: Module) -> Product:
        u, s, vt = _svd(*module.weighted())
        return Product(u * s.mean() if len(s) else u, vt)

    return parts.each(merged)


def iso_cts(parts: Parts, *, common: float = 0.8) -> dict[str, Product]:
    """Isotropic merging with common and task-specific directions (arXiv:2502.04959, section 4.2).

    The leading share `common` of the mean's directions is kept. The rest of the room goes to the tasks in
    equal parts: the leading directions of what each has outside of the common ones. All are made orthonormal
    together, and each gets the mean of their singular values.
    """
    if not 0 <= common <= 1:
        raise UsageError(f"common is {common:g}", hint="the common directions' share, from 0 to 1")

    def merged(module: Module) -> Product:
        u, s, vt = _svd(*module.weighted())
        kept = round(common * len(s))
        each = (len(s) - kept) // len(module.b)
        kept = len(s) - each * len(module.b)  # what can't be shared out stays common
        us, ss, vs = [u[:, :kept]], [s[:kept]], [vt[:kept].T]
        for b, a, weight in zip(module.b, module.a, module.weights, strict=True):
            outside = b - u[:, :kept] @ (u[:, :kept].T @ b)
            task_u, task_s, task_vt = svd_of_product(outside, a)
            us.append(task_u[:, :each])
            ss.append(weight * task_s[:each])
            vs.append(task_vt[:each].T)
        left, right = (_nearest_orthonormal(np.concatenate(side, axis=1)) for side in (us, vs))
        values = np.concatenate(ss)
        return Product(left * (values.mean() if len(values) else 0.0), right.T)

    return parts.each(merged)


def _svd(b: F64, a: F64) -> tuple[F64, F64, F64]:
    """The SVD of b a without directions that are rounding."""
    u, s, vt = svd_of_product(b, a)
    kept = s > 1e-10 * s.max(initial=0.0)
    return u[:, kept], s[kept], vt[kept]


def _nearest_orthonormal(x: F64) -> F64:
    """The polar factor of x: p q^T of its SVD p d q^T; directions that x lacks stay zero."""
    p, d, qt = np.linalg.svd(x, full_matrices=False)
    kept = d > 1e-10 * d.max(initial=0.0)
    product: F64 = p[:, kept] @ qt[kept]
    return product
