"""One LoRA adapter as data: NumPy factors, and what they belong to.

The update of a module's weight is dW = (alpha / rank) b a, with a [rank, in] and b [out, rank] (Hu et
al. 2021, arXiv:2106.09685). alpha / rank is part of the update: two adapters with equal factors and
another alpha are two updates. Nothing here makes dW itself, which is as large as the weight.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.errors import RefusedPayload, RengaError, did_you_mean

F32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Factors:
    """The two factors of one module's update."""

    a: F32  # [rank, in]
    b: F32  # [out, rank]


@dataclass(frozen=True, eq=False)
class Adapter:
    """A LoRA adapter. Modules that it doesn't name are not changed by it."""

    factors: Mapping[str, Factors]  # by module path, such as "model.layers.0.self_attn.q_proj"
    alpha: float
    rank: int  # of every module
    base: str  # fingerprint of the base weights; "" when not known
    provenance: Mapping[str, str] = field(default_factory=dict)  # who, round, method

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    @cached_property
    def digest(self) -> str:
        """sha256 of the update: factors, scale and base, not where it came from."""
        found = hashlib.sha256(f"{self.base} {self.scale!r}".encode())
        for name, f in sorted(self.factors.items()):
            found.update(name.encode() + f.a.tobytes() + f.b.tobytes())
        return found.hexdigest()


def module_norms(adapter: Adapter) -> dict[str, float]:
    """The Frobenius norm of every module's dW, by QR of the factors in float64: O((m + n) r^2)."""
    return {name: _product_norm(adapter.scale * _wide(f.b), f.a) for name, f in adapter.factors.items()}


def scaled_norm(adapter: Adapter) -> float:
    """The Frobenius norm of the whole update, alpha / rank included."""
    return math.hypot(*module_norms(adapter).values())


def distance(x: Adapter, y: Adapter) -> float:
    """|dW_x - dW_y| / |dW_y| in Frobenius norm over all modules; a module that one lacks is zero there.

    Computed on the stacked factors [b_x, -b_y] [a_x; a_y] by QR in float64, so ranks may differ and
    equal updates are at 0 to about 1e-15 however their factors differ. 0 when both are zero,
    infinite when only y is. Raises RengaError when a module's shapes differ.
    """
    parts = []
    for name in sorted({*x.factors, *y.factors}):
        sides = [(s, t.factors[name]) for s, t in ((x.scale, x), (-y.scale, y)) if name in t.factors]
        if len({(f.b.shape[0], f.a.shape[1]) for _, f in sides}) > 1:
            raise RengaError(
                f"adapters can't be compared: module {name} has another shape in each",
                hint="compare adapters of the same base model",
            )
        b = np.concatenate([s * _wide(f.b) for s, f in sides], axis=1)
        parts.append(_product_norm(b, np.concatenate([f.a for _, f in sides])))
    size = scaled_norm(y)
    apart = math.hypot(*parts)
    if size == 0:
        return 0.0 if apart == 0 else math.inf
    return apart / size


def checked(
    adapter: Adapter,
    expected: Mapping[str, tuple[int, int]],
    base: str,
    max_rank: int,
    *,
    max_norm: float = 1e3,
) -> Adapter:
    """The adapter itself, if it can be added to the model whose modules are `expected`.

    `expected` gives (out, in) of every module that may be adapted; an adapter may leave modules out.
    Raises RefusedPayload, naming the module, on: another base, a rank above `max_rank`, no module or
    an unknown one, factors that are not float32 of the right shape, values that are not finite, and
    a module whose dW, or one of whose factors, has a Frobenius norm above `max_norm` (a weight of a
    small model has 20 to 200, and the update of an honest training run is far below that).
    """
    who = adapter.provenance.get("who", "")
    whose = f"adapter of {who}" if who else "adapter"

    def refused(why: str, hint: str = "") -> RefusedPayload:
        hint = hint or "it was left out; the sender must train it anew"
        return RefusedPayload(f"{whose} refused: {why}", hint=hint)

    if adapter.base != base:
        raise refused(
            f"made for base {adapter.base[:12] or 'unknown'}, not {base[:12]}",
            "adapters merge only between models with the same base weights",
        )
    if not 1 <= adapter.rank <= max_rank:
        raise refused(f"rank {adapter.rank}, allowed are 1 to {max_rank}")
    if not (math.isfinite(adapter.alpha) and adapter.alpha > 0):
        raise refused(f"alpha {adapter.alpha} is not a positive number")
    if not adapter.factors:
        raise refused("it names no module")
    for name, f in adapter.factors.items():
        if name not in expected:
            hint = did_you_mean(name, expected)
            raise refused(f"unknown module {name}", hint if len(hint) < 200 else "")
        out, into = expected[name]
        if f.a.dtype != np.float32 or f.b.dtype != np.float32:
            raise refused(f"{name} has factors of {f.a.dtype} and {f.b.dtype}, not float32")
        if f.a.shape != (adapter.rank, into) or f.b.shape != (out, adapter.rank):
            right = f"{(adapter.rank, into)} and {(out, adapter.rank)}"
            raise refused(f"{name} has a {f.a.shape} and b {f.b.shape}, not {right}")
        if not (np.isfinite(f.a).all() and np.isfinite(f.b).all()):
            raise refused(f"{name} has values that are not finite")
        norms = [float(np.linalg.norm(part.astype(np.float64))) for part in (f.a, f.b)]
        # The product is at most this large: most adapters need no QR.
        bound = adapter.scale * norms[0] * norms[1]
        if bound > max_norm:
            bound = _product_norm(adapter.scale * _wide(f.b), f.a)
        if max(*norms, bound) > max_norm:
            raise refused(f"{name} has a norm of {max(*norms, bound):.3g}, allowed is {max_norm:.3g}")
    return adapter


def _product_norm(b: NDArray[Any], a: NDArray[Any]) -> float:
    """|b a| in Frobenius norm without the product: |R_b R_a^T| of the two triangular factors."""
    # NumPy's annotations give mode="r" the type of the other modes; it is one array.
    left = np.asarray(np.linalg.qr(_wide(b), mode="r"))
    right = np.asarray(np.linalg.qr(_wide(a).T, mode="r"))
    return float(np.linalg.norm(left @ right.T))


def _wide(x: NDArray[Any]) -> NDArray[np.float64]:
    return x.astype(np.float64)
