"""Adapters folded in one by one as they arrive, in bounded memory, with a running bound of the error.

Of the weighted sum so far a module keeps u s v^T of at most `room` directions. The next update w b a is put
beside it, [u s, w b] [v^T; a], QR of both and an SVD of the small core bring it back to `room`, and what is
cut off, in Frobenius norm, is added to the bound: by the triangle inequality the sum of what was ever cut is
an upper bound of how far the kept sum is from the exact one. Costs O((out + in)(room + r)^2) an adapter and
module, whatever came before. With `room` at least the sum of ranks nothing is cut, and the result is the
exact average.
"""

from __future__ import annotations

import math

import numpy as np

from renga.errors import RengaError, UsageError
from renga.models.adapter import Adapter
from renga.server.merging.lowrank import F64, NOTHING, Merged, Product, fitted, ratio, svd_of_product
from renga.server.merging.parallel import side_by_side
from renga.server.merging.parts import check_values


class Fold:
    """The weighted average of the adapters seen so far, of which none is kept."""

    def __init__(self, room: int, *, threads: int | None = None) -> None:
        if room < 1:
            raise UsageError(f"room for {room} directions is none", hint="keep at least one")
        self.room = room
        self.seen = 0
        self.base = ""
        self._threads = threads
        self._kept: dict[str, tuple[F64, F64]] = {}  # u s [out, k] and v^T [k, in], v orthonormal
        self._cut: dict[str, float] = {}  # sum of the norms that were cut off
        self._total = 0.0

    def add(self, adapter: Adapter, weight: float = 1.0) -> None:
        """Fold one in. RengaError for another base or shape and broken values; nothing has changed then."""
        if not (math.isfinite(weight) and weight > 0):
            raise UsageError(f"weight {weight:g} can't be folded in", hint="weights are above zero")
        check_values(adapter, adapter.provenance.get("who") or f"adapter {self.seen + 1}")
        if self.base and adapter.base and adapter.base != self.base:
            raise RengaError(
                f"the adapter's base is {adapter.base[:12]}, not {self.base[:12]}",
                hint="adapters merge only when they were trained on the same base weights",
            )
        for name, f in adapter.factors.items():
            if name in self._kept:
                shape = self._kept[name][0].shape[0], self._kept[name][1].shape[1]
                if (f.b.shape[0], f.a.shape[1]) != shape:
                    raise RengaError(
                        f"module {name} has the shape {(f.b.shape[0], f.a.shape[1])}, not {shape}"
                    )

        def folded(name: str) -> tuple[F64, F64, float]:
            f = adapter.factors[name]
            b, a = weight * adapter.scale * f.b.astype(np.float64), f.a.astype(np.float64)
            if name in self._kept:
                us, vt = self._kept[name]
                b, a = np.concatenate([us, b], axis=1), np.concatenate([vt, a])
            u, s, vt = svd_of_product(b, a)
            keep = min(self.room, int((s > NOTHING * s.max(initial=0.0)).sum()))
            return u[:, :keep] * s[:keep], vt[:keep], float(np.linalg.norm(s[keep:]))

        names = sorted(adapter.factors)
        for name, (us, vt, cut) in zip(names, side_by_side(folded, names, self._threads), strict=True):
            self._kept[name] = us, vt
            self._cut[name] = self._cut.get(name, 0.0) + cut
        self._total += weight
        self.seen += 1
        self.base = self.base or adapter.base

    @property
    def bound(self) -> float:
        """|kept - exact| over |kept| is at most this, over all modules."""
        size = math.hypot(*(float(np.linalg.norm(us)) for us, _ in self._kept.values()))
        return ratio(math.hypot(*self._cut.values()), size)

    def result(self, rank: int | None = None, alpha: float | None = None) -> Merged:
        """The average of what was seen, at `rank` (default: as high as was kept).

        Its errors are bounds: of what was cut on the way and at the end, over what is left.
        """
        if not self.seen:
            raise UsageError("nothing was folded in yet")
        products = {name: Product(us / self._total, vt) for name, (us, vt) in self._kept.items()}
        provenance = {"method": "average", "adapters": str(self.seen)}
        merged = fitted(products, self.base, provenance, rank=rank, alpha=alpha, threads=self._threads)
        sizes = {name: float(np.linalg.norm(us)) for name, (us, _) in self._kept.items()}
        errors = {name: merged.errors[name] + ratio(self._cut[name], sizes[name]) for name in sizes}
        return Merged(merged.adapter, merged.error + self.bound, errors)
