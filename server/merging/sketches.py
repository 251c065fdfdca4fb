"""A linear sketch of an update, whose sums mean something: so that an average can be carried by what only
adds.

Sender k knows dW_k = b a [out, in]. From a seed that all share come two random matrices per module, O [in,
width] and P [2 width + 1, out]; what is sent is

    Y_k = dW_k O  [out, width],   Z_k = P dW_k  [2 width + 1, in],

both linear in dW_k: any weighted sum of sketches is the sketch of the weighted sum, whoever adds them up,
without seeing one of them (secure aggregation). From Y and Z of a sum dW comes back as Y (P Y)^+ Z
(generalised Nystrom; Tropp, Yurtsever, Udell and Cevher, arXiv:1609.00048; Nakatsukasa, arXiv:2009.11392),
exactly where the width is at least the rank of dW, the sum of the senders' ranks at most, and else near its
best form of a lesser rank. Costs O((out + in) r width) to make, and (out + 2 in) width numbers to send a
module. Arithmetic is float64.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from renga.errors import UsageError
from renga.models.adapter import Adapter
from renga.server.merging.lowrank import Merged, Product, fitted
from renga.server.merging.parts import Module, Parts

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sketch:
    """Of each module dW O and P dW; `width` and `seed` say which O and P."""

    modules: Mapping[str, tuple[F64, F64]]
    width: int
    seed: int
    base: str

    def __add__(self, other: Sketch) -> Sketch:
        """The sketch of the sum. UsageError where they were made with other matrices."""
        if (self.width, self.seed) != (other.width, other.seed):
            raise UsageError("sketches of another width or seed can't be added")
        if self.base and other.base and self.base != other.base:
            raise UsageError("sketches of updates of different bases can't be added")
        modules = dict(self.modules)
        for name, (y, z) in other.modules.items():
            mine = modules.get(name)
            modules[name] = (y, z) if mine is None else (mine[0] + y, mine[1] + z)
        return Sketch(modules, self.width, self.seed, self.base or other.base)

    def __mul__(self, factor: float) -> Sketch:
        """The sketch of the update times `factor`."""
        modules = {name: (factor * y, factor * z) for name, (y, z) in self.modules.items()}
        return Sketch(modules, self.width, self.seed, self.base)


def sketched(adapter: Adapter, width: int, seed: int) -> Sketch:
    """The sketch of an adapter's update; no sender needs to know of another but the seed and the width."""
    if width < 1:
        raise UsageError(
            f"a sketch of width {width} says nothing", hint="make it as wide as the sum of ranks"
        )
    modules = {}
    for name, f in sorted(adapter.factors.items()):
        b, a = adapter.scale * f.b.astype(np.float64), f.a.astype(np.float64)
        o, p = _matrices(name, b.shape[0], a.shape[1], width, seed)
        modules[name] = b @ (a @ o), (p @ b) @ a
    return Sketch(modules, width, seed, adapter.base)


def recovered(
    sketch: Sketch, rank: int | None = None, alpha: float | None = None, *, threads: int | None = None
) -> Merged:
    """The update that a sketch is of, as an adapter (`rank`, `alpha` as in `fitted`).

    The error told is that of bringing what was recovered to its rank; what the sketch itself lost can't be
    known from it, and is nothing where it is wide enough.
    """
    products = {
        name: _product(name, y, z, sketch.width, sketch.seed) for name, (y, z) in sketch.modules.items()
    }
    return fitted(products, sketch.base, {"method": "sketch"}, rank=rank, alpha=alpha, threads=threads)


def through_a_sketch(parts: Parts, *, width: int | None = None) -> dict[str, Product]:
    """The mean as it comes out of the sum of all inputs' sketches: what an aggregator would have that sees
    their sum alone, to be looked at beforehand. `width` None is the sum of ranks, which loses nothing."""
    if width is not None and (isinstance(width, bool) or not isinstance(width, int) or width < 1):
        raise UsageError(
            f"a sketch can't be {width!r} wide", hint="as wide as the sum of ranks loses nothing"
        )

    def merged(module: Module) -> Product:
        wide = max(1, width or sum(a.shape[0] for a in module.a))
        y, z = np.zeros((module.shape[0], wide)), np.zeros((2 * wide + 1, module.shape[1]))
        o, p = _matrices(module.name, *module.shape, wide, parts.seed)
        for weight, b, a in zip(module.weights, module.b, module.a, strict=True):
            y, z = y + weight * (b @ (a @ o)), z + weight * ((p @ b) @ a)
        return _product(module.name, y, z, wide, parts.seed)

    return parts.each(merged)


def added(sketches: Sequence[Sketch], weights: Sequence[float]) -> Sketch:
    """The weighted sum of sketches; weights as they stand."""
    first, *others = (sketch * weight for sketch, weight in zip(sketches, weights, strict=True))
    for other in others:
        first = first + other
    return first


def _product(name: str, y: F64, z: F64, width: int, seed: int) -> Product:
    """Y (P Y)^+ Z of a module's sketch."""
    _, p = _matrices(name, y.shape[0], z.shape[1], min(width, y.shape[1]), seed)
    q, r = np.linalg.qr(y)
    # Columns of y beyond the rank of the update are rounding: directions without weight are left out.
    u, s, _ = np.linalg.svd(r)
    q = q @ u[:, s > 1e-11 * s.max(initial=0.0)]
    return Product(q, np.linalg.lstsq(p @ q, z, rcond=None)[0])


def _matrices(name: str, out: int, into: int, width: int, seed: int) -> tuple[F64, F64]:
    """O [in, width] and P [2 width + 1, out] of a module, normal, by its name and the shared seed."""
    drawn = []
    for side, shape in (("O", (into, width)), ("P", (2 * width + 1, out))):
        key = hashlib.sha256(f"{seed}\0{name}\0{side}".encode()).digest()[:16]
        generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
        drawn.append(generator.standard_normal(shape))
    return drawn[0], drawn[1]
