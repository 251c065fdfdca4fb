"""A model of the llama family brought into the shape and the order of neurons of another of it.

Spaces are named: `hidden` (what layers read and add to, one for the whole model), `inner.N` (the MLP of layer
N), `queries.N` and `keys.N` (the heads of attention). A matrix that writes space o and reads space i becomes
gather_o W spread_i; gains of norms are gathered with the space they scale. Rotary positions tie the neurons
of a head to their places, so heads are only moved as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from renga.errors import RengaError
from renga.server.merging.shapes.neurons import Match

Weights = Mapping[str, NDArray[np.float32]]

_LAYER = re.compile(r"^model\.layers\.(\d+)\.(.+)$")
# What a matrix of a layer writes, and what it reads.
_SPACES = {
    "self_attn.q_proj.weight": ("queries", "hidden"),
    "self_attn.k_proj.weight": ("keys", "hidden"),
    "self_attn.v_proj.weight": ("keys", "hidden"),
    "self_attn.o_proj.weight": ("hidden", "queries"),
    "mlp.gate_proj.weight": ("inner", "hidden"),
    "mlp.up_proj.weight": ("inner", "hidden"),
    "mlp.down_proj.weight": ("hidden", "inner"),
}


def brought(
    weights: Weights, matches: Mapping[str, Match], layers: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """B's weights in A's shape: layer n of the result is B's layer `layers[n]`.

    `matches` has a `Match` for every space that differs in order or width, those of layers under A's number.
    The vocabulary must be one. Raises RengaError, naming the tensor, for one that no llama has.
    """
    result = {}
    for name, x in weights.items():
        if not _LAYER.match(name):
            result[name] = _through(name, x, _outside(name), matches)
    for number, source in enumerate(layers):
        start = f"model.layers.{source}."
        for name, x in weights.items():
            if name.startswith(start):
                after = name.removeprefix(start)
                spaces = _inside(name, after, number)
                result[f"model.layers.{number}.{after}"] = _through(name, x, spaces, matches)
    return result


def _outside(name: str) -> tuple[str | None, str | None]:
    if name in ("model.embed_tokens.weight", "lm_head.weight"):
        return None, "hidden"
    if name == "model.norm.weight":
        return "hidden", None
    raise RengaError(f"tensor {name} is none of a llama's: its neurons can't be matched")


def _inside(name: str, after: str, number: int) -> tuple[str | None, str | None]:
    if after in ("input_layernorm.weight", "post_attention_layernorm.weight"):
        return "hidden", None
    if after not in _SPACES:
        raise RengaError(f"tensor {name} is none of a llama's: its neurons can't be matched")
    writes, reads = (space if space == "hidden" else f"{space}.{number}" for space in _SPACES[after])
    return writes, reads


def _through(
    name: str, x: NDArray[np.float32], spaces: tuple[str | None, str | None], matches: Mapping[str, Match]
) -> NDArray[np.float32]:
    writes, reads = (matches.get(space) if space else None for space in spaces)
    y = x.astype(np.float64)
    if name.endswith(("embed_tokens.weight", "lm_head.weight")):
        # Rows are tokens; what they say of hidden is written into it, or read from it if the output is
        # untied.
        if reads is not None:
            y = y @ (reads.spread if name.startswith("lm_head") else reads.gather.T)
        return y.astype(np.float32)
    if writes is not None:
        y = writes.gather @ y
    if reads is not None and y.ndim == 2:
        y = y @ reads.spread
    return y.astype(np.float32)
