"""The element-wise methods (see `methods`) on adapters, in coordinates of their common space."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.errors import UsageError, did_you_mean
from renga.server.merging import methods
from renga.server.merging.blocks import Chained, Held, spans
from renga.server.merging.coordinates import SPACES, Coordinates
from renga.server.merging.draws import Draws
from renga.server.merging.lowrank import Product
from renga.server.merging.parts import Module, Parts

SPACE_NAMES = (*SPACES, "factors")
SCOPES = ("model", "module")

# Methods whose papers rank the elements of all modules together.
_OVER_THE_MODEL = frozenset({"magnitude", "ties"})


def element_wise(
    parts: Parts, method: str, *, space: str = "core", scope: str = "model", **options: Any
) -> dict[str, Product]:
    """Each module's merged update by an element-wise method, in the coordinates of `space`.

    scope: "model" ranks an update's elements over all modules, as the paper of TIES does; "module" each
    module for itself, as mergekit does. It matters to TIES and to pruning alone. "model" takes all
    coordinates into memory; it is "module" in the space "factors", whose two sides have different scales, and
    wherever weights depend on the place.
    """
    if space not in SPACE_NAMES:
        raise UsageError(f"no space {space!r}", hint=did_you_mean(space, SPACE_NAMES))
    if scope not in SCOPES:
        raise UsageError(f"no scope {scope!r}", hint=did_you_mean(scope, SCOPES))
    methods.kernel(method, len(parts.adapters), options)  # what is wrong shows before the work
    if space == "factors":
        return {name: _factors(parts, name, method, options) for name in parts.names}
    one_weight = len(set(parts.weights.values())) == 1
    if scope == "model" and method in _OVER_THE_MODEL and one_weight:
        return _over_the_model(parts, method, space, options)

    def merged(module: Module) -> Product:
        held = _held(SPACES[space](module))
        return held[0].product(_merged(parts, module.name, method, held[1], options))

    return parts.each(merged)


def _over_the_model(parts: Parts, method: str, space: str, options: Any) -> dict[str, Product]:
    """With what a kernel measures taken over all modules at once."""
    found = parts.each(lambda module: _held(SPACES[space](module)))
    kernel = methods.kernel(method, len(parts.adapters), {"normalise": parts.normalise, **options})
    share = np.array(parts.weights[parts.names[0]])
    draws = Draws(parts.seed, "", parts.identities)
    facts = kernel.measure(Chained([Held(stack) for _, stack in found.values()]), share, draws)
    products = {}
    for name, (coordinates, stack) in found.items():
        held = Held(stack)
        result = np.empty(held.size, np.float32)
        for start, stop in spans(held.size):
            result[start:stop] = kernel.merge(
                held.read(start, stop), share, facts, start, held.columns, draws
            )
        products[name] = coordinates.product(result.reshape(stack.shape[1:]).astype(np.float64))
    return products


def _held(coordinates: Coordinates) -> tuple[Coordinates, NDArray[np.float32]]:
    """The way back, and the coordinates in the precision that adapters have."""
    stack = coordinates.stack.astype(np.float32)
    return Coordinates(np.zeros(0), coordinates.left, coordinates.right), stack


def _merged(
    parts: Parts, name: str, method: str, stack: NDArray[np.float32], options: Any, side: str = ""
) -> NDArray[np.float64]:
    draws = Draws(parts.seed, name + side, parts.identities)
    merged = methods.merged(
        method, stack, parts.weights[name], random=draws, spent=True, normalise=parts.normalise, **options
    )
    return merged.astype(np.float64)


def _factors(parts: Parts, name: str, method: str, options: Any) -> Product:
    """Both factors of a module merged apart, each with the root of the scale."""
    have = [(adapter, adapter.factors[name]) for adapter in parts.adapters if name in adapter.factors]
    if len({len(f.a) for _, f in have}) > 1:
        ranks = sorted({len(f.a) for _, f in have})
        raise UsageError(
            f"module {name} has the ranks {ranks}, and the space 'factors' needs one",
            hint="merge in the space 'core', which takes any ranks",
        )
    rank, (out, into) = len(have[0][1].a), (have[0][1].b.shape[0], have[0][1].a.shape[1])
    empty = np.zeros if len(have) < len(parts.adapters) else np.empty
    a = empty((len(parts.adapters), rank, into), np.float32)
    b = empty((len(parts.adapters), out, rank), np.float32)
    for place, adapter in enumerate(parts.adapters):
        if name in adapter.factors:
            root = np.float32(math.sqrt(adapter.scale))
            np.multiply(adapter.factors[name].a, root, out=a[place])
            np.multiply(adapter.factors[name].b, root, out=b[place])
    left, right = (
        _merged(parts, name, method, stack, options, side) for side, stack in ((".B", b), (".A", a))
    )
    return Product(left, right)
