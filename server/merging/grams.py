"""The leading part of a product of stacks, from their Gram matrices: no QR, and an error that is exact.

For B [m, R] and A [R, n], R at most some hundreds, everything is in two matrices of R x R: with B^T B = L L^T
(Cholesky) the matrix C = L^T (A A^T) L has the squares of B A's singular values as its eigenvalues, and W,
its eigenvectors, give the right singular vectors V^T = S^-1 W^T L^T A, from which U S = B (A V). The squared
norm of the whole is the trace of B^T B A A^T. That costs (m + n) R^2 multiplications in matrix products and
one eigendecomposition of R x R, where QR of both stacks and the SVD of their core cost ten times as much.

Squaring halves the digits: singular values below 1e-7 of the largest are lost in float64. What is asked for
are the leading ones and the norm of what is left out; where that is below 1e-4 of the whole, None is returned
and the caller takes QR. Above it the result is within 1e-6 (relative, of what is left out) of the optimum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]

WIDEST = 192  # of R: beyond, the eigendecomposition (R^3) is dearer than the range finder's turns

_RIDGE = 1e-15  # of the trace: Cholesky then takes dependent columns too, and no digit that counts moves
_ROUNDING = 1e-4  # of the whole: what is left out must be above it


def leading_by_grams(b: Floats, a: Floats, rank: int) -> tuple[F64, F64, F64, float, float] | None:
    """u [m, rank], s, vt of the leading part of b a, the norm of what is left out, and that of the whole."""
    b, a = b.astype(np.float64, copy=False), a.astype(np.float64, copy=False)
    gram_b, gram_a = b.T @ b, a @ a.T
    whole = max(0.0, float(np.vdot(gram_b, gram_a))) ** 0.5
    if not whole > 0:
        return None
    gram_b[np.diag_indices_from(gram_b)] += _RIDGE * np.trace(gram_b)
    try:
        low = np.linalg.cholesky(gram_b)
    except np.linalg.LinAlgError:  # columns of very unequal size
        return None
    values, w = np.linalg.eigh(low.T @ gram_a @ low)
    left_out = max(0.0, float(values[:-rank].sum())) ** 0.5
    if left_out < _ROUNDING * whole or not values[-rank] > 1e-12 * values[-1]:
        return None
    s = np.sqrt(values[: -rank - 1 : -1])
    vt = ((low @ w[:, : -rank - 1 : -1]) / s).T @ a
    u = b @ (a @ vt.T)
    u /= s
    return u, s, vt, left_out, whole
