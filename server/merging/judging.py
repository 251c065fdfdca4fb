"""A merge is judged, not believed: inputs and results scored on texts, and the method that scores best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from renga.models.adapter import Adapter, checked
from renga.models.evaluation import Scores, evaluate
from renga.models.example import Example
from renga.models.local import LocalModel
from renga.models.weights import SharedWeights
from renga.server.merging.adapters import merge
from renga.server.merging.lowrank import Merged

Tell = Callable[[str], None]

# What `auto` tries: one of each kind that needs no training. In this order; of equals the first is kept.
CANDIDATES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "average": ("average", {}),
    "sum": ("average", {"scale": "inputs"}),
    "ties": ("ties", {"density": 0.3}),
    "dare_ties": ("dare_ties", {}),
    "knots": ("knots", {"density": 0.3}),
    "tsv": ("tsv", {}),
    "tsv, summed": ("tsv", {"scale": "inputs"}),
    "iso_c": ("iso_c", {}),
    "iso_c, summed": ("iso_c", {"scale": "inputs"}),
}


class Judge:
    """Scores adapters of one base on one set of texts, each only once."""

    def __init__(self, weights: SharedWeights, examples: Sequence[Example], *, batch: int = 16) -> None:
        self._weights, self._examples, self._batch = weights, examples, batch

    def __call__(self, adapter: Adapter | None, *, accuracy: bool = True) -> Scores:
        """Bits per byte and accuracy with the adapter on; None: of the base. RengaError if it doesn't fit."""
        fitting = None if adapter is None else self.fitting(adapter)
        model = LocalModel(self._weights, fitting)
        return evaluate(model, self._examples, batch=self._batch, accuracy=accuracy)

    def fitting(self, adapter: Adapter) -> Adapter:
        """The adapter, checked against the base; one from elsewhere is taken to be of it."""
        known = adapter if adapter.base else replace(adapter, base=self._weights.fingerprint)
        return checked(known, self._weights.linear_shapes, self._weights.fingerprint, max_rank=known.rank)


def best_of(
    adapters: Sequence[Adapter], weights: Sequence[Any] | None, judge: Judge, tell: Tell, **settings: Any
) -> tuple[str, dict[str, Any], Merged, dict[str, Scores]]:
    """The candidate with the fewest bits per byte: its method, its options, its result; and all scores.

    The score chose it, so on the same texts it flatters: new texts tell what it is worth.
    """
    scores: dict[str, Scores] = {}
    best: tuple[str, dict[str, Any], Merged] | None = None
    for name, (method, given) in CANDIDATES.items():
        options = {k: float(len(adapters)) if v == "inputs" else v for k, v in given.items()}
        merged = merge(adapters, method, weights, **{**settings, **options})
        scores[name] = judge(merged.adapter, accuracy=False)
        tell(f"{name:14} {scores[name].bits_per_byte:.4f} bits per byte")
        if best is None or scores[name].bits_per_byte < min(
            score.bits_per_byte for other, score in scores.items() if other != name
        ):
            best = method, options, merged
    assert best is not None
    return *best, scores
