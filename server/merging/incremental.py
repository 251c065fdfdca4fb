"""A merge that folds models in one by one, guarding what was there."""

from __future__ import annotations

import numpy as np

from renga.errors import UsageError
from renga.server.merging.lowrank import Product, enough, svd_of_product
from renga.server.merging.parts import Module, Parts


def incremental(parts: Parts, *, guard: float = 0.5) -> dict[str, Product]:
    """Orthogonal projections, one model after the other (after OPCM, arXiv:2501.09522), in the order given.

    Of what is merged so far the leading directions that hold the share `guard` of its energy, U on the left
    and V on the right, are guarded: of the next update only (1 - U U^T) dW (1 - V V^T) is added, times its
    weight. Guard 0 is the average. The first update stays whole, later ones give way: the order is part of
    the method, and the earlier models' directions are exactly what they were. (OPCM also rescales to the mean
    norm of the updates; `scale` does that here.) Costs O((out + in) R^2) a module, and needs nothing of the
    earlier models but their merge.
    """
    if not 0 <= guard <= 1:
        raise UsageError(f"guard is {guard:g}", hint="a share of the energy, from 0 to 1")

    def merged(module: Module) -> Product:
        out, into = module.shape
        left, right = np.zeros((out, 0)), np.zeros((0, into))
        for b, a, weight in zip(module.b, module.a, module.weights, strict=True):
            if left.shape[1] and guard > 0:
                u, s, vt = svd_of_product(left, right)
                kept = enough(s, guard)
                b = b - u[:, :kept] @ (u[:, :kept].T @ b)
                a = a - (a @ vt[:kept].T) @ vt[:kept]
            left, right = np.concatenate([left, weight * b], axis=1), np.concatenate([right, a])
        return Product(left, right)

    return parts.each(merged)
