"""Layers of one model: what it would say if it ended earlier, as a model, and DoLa's contrast with that.

A `view` ends after some layer, through the model's own last norm and output layer. `dola` (arXiv:2309.03883)
contrasts the whole model, at each place, with the layer that differs most from it by the Jensen–Shannon
divergence. The authors' code computes another divergence, which exceeds log 2 and often picks another layer;
here it is the paper's. Their repetition penalty is not part of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from renga.errors import UsageError
from renga.models.caching import handed
from renga.models.contract import LanguageModel, Prompt
from renga.models.cooperation.contrast import FLOOR, among, check_plausibility
from renga.models.local import LocalModel, LocalSession

_NORMS = ("norm", "ln_f", "final_layernorm", "final_layer_norm", "embedding_norm")


class Layered(LocalModel):
    """A local model whose rows are made of several layers' in one pass. layers: how many blocks have run, 0
    being the embedding; the last is the model itself."""

    def __init__(self, model: LocalModel, layers: Sequence[int], plausibility: float | None) -> None:
        """plausibility None: the rows are those of the one layer."""
        super().__init__(model.weights, model.adapter)
        self.layers = tuple(layers)
        self.plausibility = plausibility
        self.norm = _norm(model)

    @property
    def name(self) -> str:
        kind = "view" if self.plausibility is None else "dola"
        return f"{kind}({self.weights.reference}, {'/'.join(map(str, self.layers))})"

    def open(self, prompt: Prompt) -> LayeredSession:
        return self.open_ids(self.weights.template.ids_of(self.weights.tokenizer, prompt))

    def open_ids(self, ids: Sequence[int]) -> LayeredSession:
        return LayeredSession(self, ids)


class LayeredSession(LocalSession):
    """A session that looks at states along the way."""

    def __init__(self, model: Layered, ids: Sequence[int]) -> None:
        super().__init__(model, ids)
        self._layered = model

    def _forward(self, unread: list[int], wanted: int) -> torch.Tensor:
        weights = self._layered.weights
        output = weights.model(
            input_ids=torch.tensor([unread]),
            **handed(self._cache, weights.model),
            use_cache=self._cache is not None,
            logits_to_keep=wanted,
            output_hidden_states=True,
        )
        states = output.hidden_states  # the embedding, then after each block; the last behind the norm
        early = [self._row(states[j][0, -wanted:], j == len(states) - 1) for j in self._layered.layers]
        if self._layered.plausibility is None:
            return early[0]
        # A model may have more output rows than its tokenizer has tokens.
        last = _normal(output.logits[0, :, : weights.vocabulary.size])
        return farthest(last, early, self._layered.plausibility)

    def _row(self, states: torch.Tensor, last: bool) -> torch.Tensor:
        weights = self._layered.weights
        states = states if last else self._layered.norm(states)
        return _normal(weights.model.get_output_embeddings()(states)[:, : weights.vocabulary.size])


def view(model: LanguageModel, layer: int) -> Layered:
    """The model that ends after `layer` blocks. Raises UsageError for one that it has not."""
    here = _here(model)
    return Layered(here, _checked(here, [layer]), None)


def dola(model: LanguageModel, *, layers: Sequence[int] | str = "low", plausibility: float = 0.1) -> Layered:
    """The model contrasted, at each place, with that of its `layers` that differs most from it.

    layers: their numbers, or "low" or "high": every second one of the lower or upper half, as the paper has
    them. Its rows are log p_last − log p_layer over the plausible tokens, normalised.
    """
    check_plausibility(plausibility)
    here = _here(model)
    count = _count(here)
    if isinstance(layers, str):
        if layers not in ("low", "high"):
            raise UsageError(f"layers = {layers!r}", hint='"low", "high", or numbers of layers')
        middle = count // 2
        layers = range(0, middle, 2) if layers == "low" else range(middle, count, 2)
    return Layered(here, _checked(here, list(layers)), plausibility)


def farthest(last: torch.Tensor, early: Sequence[torch.Tensor], plausibility: float) -> torch.Tensor:
    """Each row of `last` [places, vocabulary] contrasted with the one of `early` that is farthest from it."""
    distances = torch.stack([divergence(last, rows) for rows in early])  # [layers, places]
    chosen = distances.argmax(0)
    rows = torch.stack(list(early))[chosen, torch.arange(len(last))]
    return among(last - rows.clamp(min=FLOOR), last, plausibility)


def divergence(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Jensen–Shannon divergence of log-probabilities along the last axis, in nats: 0 to log 2."""
    middle = torch.logaddexp(one, other) - math.log(2)
    return (_kl(one, middle) + _kl(other, middle)) / 2


def _kl(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    # Where one is nothing its share is nothing, whatever the difference.
    return torch.where(one > -torch.inf, one.exp() * (one - other), 0.0).sum(-1)


def _normal(logits: torch.Tensor) -> torch.Tensor:
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return torch.log_softmax(wide, dim=-1)


def _here(model: LanguageModel) -> LocalModel:
    if not isinstance(model, LocalModel):
        raise UsageError("only a model that is here shows its layers")
    return model


def _count(model: LocalModel) -> int:
    return int(model.weights.model.config.get_text_config().num_hidden_layers)


def _checked(model: LocalModel, layers: list[int]) -> list[int]:
    count = _count(model)
    if not layers or not all(0 <= layer <= count for layer in layers):
        raise UsageError(f"layers {layers} of {model.weights.reference}", hint=f"it has 0 to {count}")
    return layers


def _norm(model: LocalModel) -> Any:
    """The norm before the output layer. Raises UsageError where states can't be read that way."""
    weights = model.weights
    decoder = weights.model.get_decoder()
    found = next((getattr(decoder, name) for name in _NORMS if hasattr(decoder, name)), None)
    if found is None or not weights.head_is_plain:
        raise UsageError(
            f"the layers of {weights.reference} can't be read on their own",
            hint="it scales or caps what they say; contrast it with another model",
        )
    return found
