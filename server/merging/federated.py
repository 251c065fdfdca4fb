"""Merging as federations of low-rank learners do it: what is exact, what it costs, what comes back.

The exact average and its best form of a rank (FLoRA, FlexLoRA, FLoRIST) stand in `average` and `lowrank`.
Here is the average of the factors, exact where all share one of them, and what FedEx-LoRA adds to it.
"""

from __future__ import annotations

import numpy as np

from renga.errors import UsageError
from renga.models.adapter import scaled_norm
from renga.server.merging.lowrank import Made, Product
from renga.server.merging.parts import Module, Parts


def averaged(parts: Parts) -> Made:
    """The exact weighted average of the updates: sum_k w_k dW_k = [w_1 b_1, ...] [a_1; ...], rank R = sum
    r_k.

    FLoRA (arXiv:2409.05976) sends it so. With `rank` it is the best of that rank (FlexLoRA,
    arXiv:2402.11505), with `energy` each module keeps as many directions as it needs (FLoRIST,
    arXiv:2506.09199).
    """
    return Made(parts.names, lambda name: Product(*parts.weighted(name)))


def factor_mean(parts: Parts) -> dict[str, Product]:
    """The mean of the factors, B = sum w_k b_k and A = sum w_k a_k (FedIT, arXiv:2305.05644), for equal
    ranks.

    Off by sum_k w_k (b_k - B)(a_k - A) against the exact average. Exact, at the inputs' own rank, where all
    share one factor: FFA-LoRA (arXiv:2403.12313) freezes A, RoLoRA (arXiv:2502.01755) A and B in turn.
    """
    return {name: Product(b, a) for name, (b, a) in _means(parts).items()}


def shared_factor(parts: Parts) -> dict[str, Product]:
    """The exact average of adapters that share a factor, which is kept as it is: rank and A (or B) stay.

    For FFA-LoRA and RoLoRA. Refused, naming the module, where neither factor is shared.
    """
    for name in parts.names:
        for side in ("a", "b"):
            first, *others = [getattr(x.factors[name], side) for x in parts.adapters if name in x.factors]
            if all(np.array_equal(first, other) for other in others):
                break
        else:
            raise UsageError(
                f"the adapters share neither factor of {name}",
                hint="'average' merges adapters that were trained freely",
            )
    return factor_mean(parts)


def residual(parts: Parts) -> dict[str, Product]:
    """What the mean of the factors misses of the exact average: sum_k w_k dW_k - B A, as factors of rank R +
    r.

    FedEx-LoRA (arXiv:2410.09432) sends the mean of the factors as the next adapter and adds this to the base
    weights, so that nothing is lost. Server and clients must then hold the same changed base.
    """
    means = _means(parts)

    def missed(module: Module) -> Product:
        b, a = module.weighted()
        mean_b, mean_a = means[module.name]
        return Product(np.concatenate([b, -mean_b], axis=1), np.concatenate([a, mean_a]))

    return parts.each(missed)


def _means(parts: Parts) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of each module sum_k w_k s_k b_k and sum_k w_k a_k over the inputs that have it, scale on one side."""
    result = {}
    for name in parts.names:
        have = [
            (w, x.scale, x.factors[name])
            for w, x in zip(parts.weights[name], parts.adapters, strict=True)
            if name in x.factors
        ]
        if len(have) < len(parts.adapters) or len({len(f.a) for *_, f in have}) > 1:
            raise UsageError(
                f"the factors of {name} can't be averaged: an adapter lacks it, or ranks differ",
                hint="'average' takes any ranks and modules",
            )
        b = sum(w * s * f.b.astype(np.float64) for w, s, f in have)
        a = sum(w * f.a.astype(np.float64) for w, _, f in have)
        result[name] = (np.asarray(b), np.asarray(a))
    return result


def by_size(parts: Parts, *, power: float = 2.0) -> dict[str, Product]:
    """The mean with weights w_k |dW_k|^power, normalised: by how far each model went from the base.

    power 2 is MetaGPT's closed form (arXiv:2406.11385), which minimises the summed loss differences if the
    loss is quadratic and the tasks' updates are orthogonal; -1 lets every update weigh the same however large
    it is. Norms are taken on the product, through r x r matrices: O((out + in) r^2) a module.
    """
    norms = np.array([scaled_norm(adapter) for adapter in parts.adapters])
    if power < 0 and not norms.all():
        raise UsageError("an adapter changes nothing, and can't be weighed by the inverse of its size")
    sizes = norms**power / (norms**power).max()

    def merged(module: Module) -> Product:
        given = np.array(module.weights)
        changed = given * sizes
        factors = changed * (given.sum() / changed.sum())  # the sum of weights stays what it was
        b = np.concatenate([w * b for w, b in zip(factors, module.b, strict=True)], axis=1)
        return Product(b, np.concatenate(module.a))

    return parts.each(merged)
