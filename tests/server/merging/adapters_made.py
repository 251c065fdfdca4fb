"""Random adapters for the tests of merging: unequal ranks, alphas and modules; and their dense updates."""

from __future__ import annotations

import numpy as np

from renga.models.adapter import Adapter, Factors

SHAPES = {
    "model.layers.0.self_attn.q_proj": (24, 24),
    "model.layers.0.mlp.up_proj": (40, 24),
    "model.layers.1.self_attn.q_proj": (24, 24),
    "model.layers.1.mlp.down_proj": (24, 40),
}


def made(seed, rank=3, alpha=6.0, modules=tuple(SHAPES), base="base", **provenance):
    rng = np.random.default_rng(seed)
    factors = {
        m: Factors(
            rng.standard_normal((rank, SHAPES[m][1])).astype(np.float32),
            rng.standard_normal((SHAPES[m][0], rank)).astype(np.float32),
        )
        for m in modules
    }
    return Adapter(factors, alpha, rank, base, provenance)


def unequal():
    """Three of ranks 2, 4 and 3; the last lacks modules. With weights."""
    two = tuple(SHAPES)[:2]
    return [made(1, 2, 16.0), made(2, 4, 4.0), made(3, 3, 10.0, two)], [3.0, 1.0, 2.0]


def dense(x, name):
    """The update of a module, in float64."""
    if name not in x.factors:
        return np.zeros(SHAPES[name])
    f = x.factors[name]
    return x.alpha / x.rank * f.b.astype(np.float64) @ f.a.astype(np.float64)


def all_dense(x):
    return {name: dense(x, name) for name in SHAPES}


def apart(x, updates):
    """|dW_x - updates| / |updates| over all modules."""
    gap = [np.linalg.norm(dense(x, name) - updates[name]) for name in SHAPES]
    return np.linalg.norm(gap) / np.linalg.norm([np.linalg.norm(updates[name]) for name in SHAPES])


def regauged(x, seed=0):
    """The same update with other factors: b times c and a by 1 / c, and an invertible mixture of ranks."""
    rng = np.random.default_rng(seed)
    factors = {}
    for name, f in x.factors.items():
        q, _ = np.linalg.qr(rng.standard_normal((x.rank, x.rank)))
        c = q * rng.uniform(0.1, 10, x.rank)
        factors[name] = Factors(
            (np.linalg.inv(c) @ f.a).astype(np.float32), (f.b.astype(np.float64) @ c).astype(np.float32)
        )
    return Adapter(factors, x.alpha, x.rank, x.base, x.provenance)
