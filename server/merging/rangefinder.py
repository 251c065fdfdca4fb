"""The leading part of a product of wide stacks, by a randomised range finder whose error is checked.

With many adapters the sum of ranks R comes near the size of a module [m, n] and QR of the stacks costs more
than the update itself. Of B A [m, n] only the leading `rank` directions are wanted: a random block of rank +
16 columns is pushed through B A and back (subspace iteration; Halko, Martinsson and Tropp, arXiv:0909.4061),
which costs O((m + n) R rank) a turn and never forms B A. Turns go on until the energy held in the leading
directions grows by less than a share of what is left. What is left is measured, not assumed: ten further
random columns w, kept out of the iteration, give |B A w - Q Q^T B A w|^2, whose mean is the squared Frobenius
norm of what Q misses.

Float32, as the factors are. Where the error is of the order of its rounding, or the turns run out, None is
returned, and the caller takes the exact way.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]

_SPARE, _PROBES, _TURNS = 16, 10, 24
_GAIN = 2e-5  # of what is left; the squared error is then within a few of these of the optimum's
_ROUNDING = 1e-4  # below this share of the whole, float32 can't tell


def worthwhile(shape: tuple[int, int], total: int, rank: int) -> bool:
    """Whether the range finder beats QR of the stacks: R is large beside the rank and beside the module."""
    small = min(*shape, total)
    return total > 64 and 6 * total > min(shape) and 2 * (rank + _SPARE) < small


def leading(name: str, b: Floats, a: Floats, rank: int) -> tuple[F64, F64, F64, float, float] | None:
    """u [m, rank], s, vt of the leading part of b a, the norm of what is left out, and that of the whole.

    Both norms are estimates, by ten probes: off by some percent for one module. Drawn by the module's `name`,
    so that the same inputs give the same bytes.
    """
    b, a = np.ascontiguousarray(b, np.float32), np.ascontiguousarray(a, np.float32)
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    draws = np.random.default_rng(seed).standard_normal((a.shape[1], rank + _SPARE + _PROBES), np.float32)
    sketch = b @ (a @ draws)
    probes = sketch[:, -_PROBES:].astype(np.float64)
    whole = float(np.linalg.norm(probes)) / _PROBES**0.5
    q, *_ = _turned(sketch[:, :-_PROBES])
    held = -1.0
    for _ in range(_TURNS):
        right, s, turn = _turned(a.T @ (b.T @ q))  # the SVD of (b a)^T q
        missed = _missed(q, probes)
        left_out = float(np.hypot(missed, np.linalg.norm(s[rank:])))
        if left_out < _ROUNDING * whole:
            return None
        now = float((s[:rank] ** 2).sum())
        if held >= 0 and now - held <= _GAIN * left_out**2:
            u, vt = (q @ turn).astype(np.float64), right.astype(np.float64).T
            return u[:, :rank], s[:rank], vt[:rank], left_out, whole
        held = now
        q, *_ = _turned(b @ (a @ right))
    return None


def _turned(y: Floats) -> tuple[NDArray[np.float32], F64, NDArray[np.float32]]:
    """u, s, v of the SVD of a few columns y = u s v^T, by their Gram matrix in float64.

    A quarter of the cost of LAPACK's for so few. Columns of u whose s is below float32's rounding are zero.
    """
    wide = y.astype(np.float64)
    values, v = np.linalg.eigh(wide.T @ wide)
    values, v = values[::-1], v[:, ::-1]
    kept = values > 1e-13 * max(values[0], 1e-300)
    s = np.sqrt(np.where(kept, values, 0.0))
    u = wide @ np.where(kept, v / np.where(kept, s, 1.0), 0.0)
    return u.astype(np.float32), s, v.astype(np.float32)


def _missed(q: Floats, probes: F64) -> float:
    """An estimate of |(1 - q q^T) b a| from b a at the probes."""
    rest = probes - q @ (q.T @ probes)
    return float(np.linalg.norm(rest)) / float(probes.shape[1] ** 0.5)


def with_signs(u: F64, s: F64, vt: F64) -> tuple[F64, F64, F64]:
    """LAPACK's choice of sign means nothing; ours is that the largest entry of u is positive."""
    largest = u[np.abs(u).argmax(axis=0), np.arange(u.shape[1])]
    sign = np.where(largest < 0, -1.0, 1.0)
    return u * sign, s, vt * sign[:, None]
