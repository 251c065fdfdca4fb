"""What the neurons of two models of the llama family do on the same texts, and the matches that follow from
it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from renga.errors import RengaError
from renga.server.merging.shapes.neurons import (
    Match,
    correlations,
    identity,
    in_blocks,
    layer_pairs,
    likeness_of_layers,
    permuted,
    softly,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Activations:
    """Per layer, at the same places of the same texts: float32 [places, neurons]."""

    hidden: list[F32]  # what the layer leaves in the residual stream
    inner: list[F32]  # what the MLP's last matrix reads
    heads: list[F32]  # what the attention's last matrix reads
    groups: int  # heads of keys and values
    head: int  # neurons of one


def activations(model: PreTrainedModel, texts: Sequence[torch.Tensor]) -> Activations:
    """Read texts (ids [1, length] each) and listen. Raises RengaError for models that aren't built like
    llama."""
    import torch

    layers = getattr(getattr(model, "model", None), "layers", None)
    if layers is None or not all(hasattr(layer, "mlp") and hasattr(layer, "self_attn") for layer in layers):
        raise RengaError(f"{type(model).__name__} isn't built like llama: its neurons can't be matched")
    heard: dict[tuple[str, int], list[F32]] = {}
    hooks = []

    def listen(kind: str, number: int, module: Any, *, before: bool) -> None:
        def keep(_: Any, taken: Any, given: Any = None) -> None:
            x = taken[0] if before else given
            x = x[0] if isinstance(x, tuple) else x
            heard.setdefault((kind, number), []).append(x.detach().reshape(-1, x.shape[-1]).float().numpy())

        hooks.append(module.register_forward_pre_hook(keep) if before else module.register_forward_hook(keep))

    for number, layer in enumerate(layers):
        listen("hidden", number, layer, before=False)
        listen("inner", number, layer.mlp.down_proj, before=True)
        listen("heads", number, layer.self_attn.o_proj, before=True)
    try:
        with torch.no_grad():
            for ids in texts:
                model(input_ids=ids, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    of = {
        kind: [np.concatenate(heard[kind, n]) for n in range(len(layers))]
        for kind in ("hidden", "inner", "heads")
    }
    groups = int(model.config.num_key_value_heads)
    return Activations(of["hidden"], of["inner"], of["heads"], groups, layers[0].self_attn.head_dim)


def matched(a: Activations, b: Activations) -> tuple[dict[str, Match], NDArray[np.int64]]:
    """The matches of all spaces, and B's layer for every layer of A, as `bringing.brought` takes them.

    One to one where the widths are equal, by transport where they aren't. Layers of models of one depth are
    paired in order. Heads move as groups, which must be of one size.
    """
    if len(a.hidden) == len(b.hidden):
        layers = np.arange(len(a.hidden))
    else:
        layers = layer_pairs(np.array([[likeness_of_layers(x, y) for y in b.hidden] for x in a.hidden]))
    xs = np.concatenate([_even(x) for x in a.hidden])
    ys = np.concatenate([_even(b.hidden[source]) for source in layers])
    matches = {"hidden": _match(correlations(xs, ys))}
    for number, source in enumerate(layers):
        matches[f"inner.{number}"] = _match(correlations(a.inner[number], b.inner[source]))
        matches |= _heads(a, b, number, int(source))
    return matches, layers


def _even(x: F32) -> F32:
    """At a size of one, so that no layer speaks louder than the others."""
    size = float(np.sqrt(np.square(x - x.mean(axis=0)).mean()))
    even: F32 = x / np.float32(size if size > 0 else 1.0)
    return even


def _match(likeness: NDArray[np.float64]) -> Match:
    return permuted(likeness) if likeness.shape[0] == likeness.shape[1] else softly(likeness)


def _heads(a: Activations, b: Activations, number: int, source: int) -> dict[str, Match]:
    """Groups of heads by the CKA of what they give, which sees through the basis of a head."""
    ones = np.split(a.heads[number], a.groups, axis=1)
    others = np.split(b.heads[source], b.groups, axis=1)
    width = ones[0].shape[1]
    if others[0].shape[1] != width:
        raise RengaError(f"groups of heads of {width} and {others[0].shape[1]} neurons can't be matched")
    likeness = np.array([[likeness_of_layers(x, y) for y in others] for x in ones])
    groups = identity(1) if likeness.shape == (1, 1) else _match(likeness)
    return {f"queries.{number}": in_blocks(groups, width), f"keys.{number}": in_blocks(groups, a.head)}
