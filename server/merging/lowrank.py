"""Products of thin matrices, and how an adapter of a given rank is made of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.errors import RengaError, UsageError
from renga.models.adapter import Adapter, Factors
from renga.server.merging.grams import WIDEST, leading_by_grams
from renga.server.merging.parallel import side_by_side
from renga.server.merging.rangefinder import leading, with_signs, worthwhile

F64 = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]

# Singular values below this share of the largest are rounding, not signal.
NOTHING = 1e-12


@dataclass(frozen=True, eq=False)
class Product:
    """The update left core right of a module: [out, p], [p, q] (None: the identity), [q, in].

    `thin` says that the columns of left and the rows of right are orthonormal, so that the singular values
    are those of the core. Sides without a core may be float32: what adapters hold.
    """

    left: Floats
    right: Floats
    core: F64 | None = None
    thin: bool = False

    def pair(self) -> tuple[Floats, Floats]:
        """Two factors b a of the least rank that needs no decomposition."""
        if self.core is None:
            return self.left, self.right
        if self.core.shape[0] <= self.core.shape[1]:
            return self.left, self.core @ self.right
        return self.left @ self.core, self.right

    def svd(self) -> tuple[F64, F64, F64]:
        """The thin SVD, its signs fixed."""
        if self.core is None or not self.thin:
            return svd_of_product(*self.pair())
        u, s, vt = np.linalg.svd(self.core, full_matrices=False)
        return with_signs(self.left @ u, s, vt @ self.right)


@dataclass(frozen=True, eq=False)
class Made(Mapping[str, Product]):
    """Products that are made when they are asked for, so that only those in work are in memory."""

    names: Sequence[str]
    make: Callable[[str], Product]

    def __getitem__(self, name: str) -> Product:
        return self.make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Merged:
    """An adapter, and what bringing it to its rank has cost."""

    adapter: Adapter
    error: float  # |dW_exact - dW| / |dW_exact|, Frobenius norm over all modules
    errors: Mapping[str, float]  # the same of each module
    residual: Adapter | None = None  # what is to be added to the base weights beside it (FedEx)


def svd_of_product(b: Floats, a: Floats) -> tuple[F64, F64, F64]:
    """The thin SVD of b a without forming it, where b [m, R] and a [R, n].

    The core is min(m, R) by min(n, R). With R above m (or n) an orthogonal basis of that side has
    nothing to compress, so the side is taken as it is. With R above both, the core *is* dW: by then
    the stacks are larger than it, and its SVD is the cheapest exact way. `rangefinder` is for a merge of
    so many adapters that this matters.
    """
    b, a = b.astype(np.float64, copy=False), a.astype(np.float64, copy=False)
    qb, rb = np.linalg.qr(b) if b.shape[1] < b.shape[0] else (None, b)
    qa, ra = np.linalg.qr(a.T) if a.shape[0] < a.shape[1] else (None, a.T)
    u, s, vt = np.linalg.svd(rb @ ra.T, full_matrices=False)
    return with_signs(u if qb is None else qb @ u, s, vt if qa is None else vt @ qa.T)


def best_of_rank(name: str, b: Floats, a: Floats, rank: int) -> tuple[F64, F64, F64, float, float]:
    """The leading u [m, rank], s, vt of b a, the norm of what is left out and that of the whole.

    By Gram matrices of both stacks, or where those are wide by the range finder, whose two norms are
    estimates; where neither can tell what is left out from rounding, by QR.
    """
    shape, total = (b.shape[0], a.shape[1]), b.shape[1]
    found = None
    if rank < total <= min(WIDEST, *shape):
        found = leading_by_grams(b, a, rank)
    elif worthwhile(shape, total, rank):
        found = leading(name, b, a, rank)
    if found is not None:
        u, s, vt, lost, whole = found
        return *with_signs(u, s, vt), lost, whole
    u, s, vt = svd_of_product(b, a)
    return u[:, :rank], s[:rank], vt[:rank], float(np.linalg.norm(s[rank:])), float(np.linalg.norm(s))


def split(name: str, u: F64, s: F64, vt: F64, rank: int, scale: float) -> Factors:
    """Balanced factors: b = u (s/scale)^1/2 and a = (s/scale)^1/2 vt.

    Directions without a singular value (fewer than `rank` were trained) get b = 0 and a drawn as for
    a new LoRA, by the module's name: with both at zero no gradient would ever reach them again.
    """
    used = int((s > NOTHING * s[0]).sum()) if s.size else 0
    root = np.sqrt(s[:used] / scale)
    a, b = np.zeros((rank, vt.shape[1]), np.float32), np.zeros((u.shape[0], rank), np.float32)
    b[:, :used] = u[:, :used] * root
    a[:used] = vt[:used] * root[:, None]
    if used < rank:
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        bound = 1 / math.sqrt(vt.shape[1])
        a[used:] = np.random.default_rng(seed).uniform(-bound, bound, (rank - used, vt.shape[1]))
    return Factors(a, b)


def fitted(
    products: Mapping[str, Product],
    base: str,
    provenance: Mapping[str, str],
    *,
    rank: int | None = None,
    alpha: float | None = None,
    energy: float | None = None,
    threads: int | None = None,
) -> Merged:
    """One adapter for these updates.

    rank: the best of that rank (Eckart and Young); without it, as high as the products need, which loses
    nothing but the rounding to float32. energy in (0, 1]: per module the least rank that keeps this share of
    sum s_j^2 (FLoRIST, arXiv:2506.09199), `rank` at most. alpha: the adapter's, whose scale alpha / rank is
    divided out; by default alpha = rank. Modules below the adapter's rank are padded with zeros when rank is
    not given, and with directions that can be trained when it is.
    """
    if energy is not None and not 0 < energy <= 1:
        raise UsageError(f"energy is {energy:g}", hint="a share between 0 and 1")
    if rank is not None:
        check_rank(rank, 1.0 if alpha is None else alpha)
    if rank is None and energy is None:
        return _exact(products, base, provenance, alpha, threads)

    def cut(name: str) -> tuple[F64, F64, F64, float, float]:
        product = products[name]
        if rank is not None and energy is None and not product.thin:
            return best_of_rank(name, *product.pair(), rank)
        u, s, vt = product.svd()
        keep = min(len(s) if rank is None else rank, len(s) if energy is None else enough(s, energy))
        return u[:, :keep], s[:keep], vt[:keep], float(np.linalg.norm(s[keep:])), float(np.linalg.norm(s))

    cuts = dict(zip(products, side_by_side(cut, products, threads), strict=True))
    grown = rank is not None and energy is None
    rank = rank if grown and rank is not None else max(1, *(len(s) for _, s, *_ in cuts.values()))
    alpha = float(rank) if alpha is None else alpha
    factors = {}
    for name, (u, s, vt, _, _) in cuts.items():
        if grown:
            factors[name] = split(name, u, s, vt, rank, alpha / rank)
        else:
            root = np.sqrt(s)
            factors[name] = _padded(u * root, root[:, None] * vt, rank, alpha / rank)
    lost = {name: kept[3] for name, kept in cuts.items()}
    whole = {name: kept[4] for name, kept in cuts.items()}
    errors = {name: ratio(lost[name], whole[name]) for name in cuts}
    error = ratio(math.hypot(*lost.values()), math.hypot(*whole.values()))
    return Merged(Adapter(factors, alpha, rank, base, provenance), error, errors)


def _exact(
    products: Mapping[str, Product],
    base: str,
    provenance: Mapping[str, str],
    alpha: float | None,
    threads: int | None,
) -> Merged:
    """As high a rank as the products need."""

    def factored(name: str) -> tuple[Floats, Floats]:
        b, a = products[name].pair()
        return b if alpha is not None else b.astype(np.float32), a.astype(np.float32)

    pairs = dict(zip(products, side_by_side(factored, products, threads), strict=True))
    rank = max((b.shape[1] for b, _ in pairs.values()), default=1) or 1
    alpha = float(rank) if alpha is None else alpha
    factors = {name: _padded(*pair, rank, alpha / rank) for name, pair in pairs.items()}
    return Merged(Adapter(factors, alpha, rank, base, provenance), 0.0, dict.fromkeys(products, 0.0))


def enough(s: F64, energy: float) -> int:
    """How many of the singular values hold this share of their squares' sum; at least one."""
    held = np.cumsum(s**2)
    if not held.size or held[-1] == 0:
        return min(1, len(s))
    return int(np.searchsorted(held, energy * held[-1] * (1 - 1e-12)) + 1)


def check_rank(rank: int, alpha: float) -> None:
    if rank < 1 or not (math.isfinite(alpha) and alpha > 0):
        raise RengaError(f"an adapter can't have rank {rank} and alpha {alpha}", hint="both must be positive")


def ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _padded(b: Floats, a: Floats, rank: int, scale: float) -> Factors:
    if scale == 1 and b.shape[1] == rank:
        return Factors(a.astype(np.float32, copy=False), b.astype(np.float32, copy=False))
    wide_a, wide_b = np.zeros((rank, a.shape[1]), np.float32), np.zeros((b.shape[0], rank), np.float32)
    wide_a[: len(a)] = a
    wide_b[:, : b.shape[1]] = b / scale
    return Factors(wide_a, wide_b)
