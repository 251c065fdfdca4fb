"""A merge is judged, not believed: inputs and results scored on texts, and the method that scores best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from renga.errors import UsageError, did_you_mean
from renga.models.adapter import Adapter, checked
from renga.models.evaluation import Scores, evaluate
from renga.models.example import Example
from renga.models.local import LocalModel
from renga.models.weights import SharedWeights
from renga.server.merging import live
from renga.server.merging.adapters import found_method, merge
from renga.server.merging.gathered import measured
from renga.server.merging.lowrank import Merged
from renga.server.merging.search import Searching, search
from renga.server.merging.soups import greedy

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
    """Scores adapters of one base on one set of texts."""

    def __init__(self, weights: SharedWeights, examples: Sequence[Example], *, batch: int = 16) -> None:
        self.weights, self._examples, self._batch = weights, examples, batch

    def __call__(self, adapter: Adapter | None, *, accuracy: bool = True) -> Scores:
        """Bits per byte and accuracy with the adapter on; None: of the base. RengaError if it doesn't fit."""
        fitting = None if adapter is None else self.fitting(adapter)
        model = LocalModel(self.weights, fitting)
        return evaluate(model, self._examples, batch=self._batch, accuracy=accuracy)

    def on(self, examples: Sequence[Example]) -> Judge:
        """The same on other texts."""
        return Judge(self.weights, examples, batch=self._batch)

    def fitting(self, adapter: Adapter) -> Adapter:
        """The adapter, checked against the base; one from elsewhere is taken to be of it."""
        known = adapter if adapter.base else replace(adapter, base=self.weights.fingerprint)
        return checked(known, self.weights.linear_shapes, self.weights.fingerprint, max_rank=known.rank)


@dataclass(frozen=True)
class Choice:
    """What was kept, the options that make it again, and the scores of what was tried."""

    merged: Merged
    options: dict[str, Any]
    tried: dict[str, Scores]


def chosen_by_score(
    method: str,
    adapters: Sequence[Adapter],
    weights: Sequence[Any] | None,
    judge: Judge,
    own: Mapping[str, Any],
    settings: Mapping[str, Any],
    tell: Tell,
) -> Choice:
    """What scores best on the judge's texts, in bits per byte: of several methods ("auto"), of subsets
    ("greedy"), or of coefficients ("cmaes", "bayes"; `own` are the fields of `search.Searching`).

    The score chose it, so on the same texts it flatters: new texts tell what it is worth.
    """
    if method == "auto":
        return _best_method(adapters, weights, judge, {**settings, **own}, tell)

    def score(adapter: Adapter) -> float:
        return -judge(adapter, accuracy=False).bits_per_byte

    if method == "greedy":
        soup = greedy(adapters, score, weights, **{**settings, **own})
        return Choice(soup.merged, {"ingredients": list(soup.ingredients)}, {})
    known = {field.name for field in fields(Searching)} - {"by", "seed"}
    for option in own:
        if option not in known:
            raise UsageError(f"{method} has no option {option!r}", hint=did_you_mean(option, known))
    how = Searching(by=method, seed=settings.get("seed", 0), **own)
    plain = {key: value for key, value in settings.items() if key != "normalise"}
    found = search(adapters, score, how, tell=tell, **plain)
    return Choice(found.merged, {"coefficients": found.coefficients}, {})


def looked_at(
    method: str,
    weights: SharedWeights,
    adapters: Sequence[Adapter],
    texts: Sequence[Sequence[Example]],
    own: dict[str, Any],
    seed: int,
    tell: Tell,
) -> dict[str, Any]:
    """What a method is given of texts: statistics of each adapter on its own, or all texts to learn from.

    Takes the options that belong to that out of `own`.
    """
    if found_method(method).needs == "statistics":
        if len(texts) not in (1, len(adapters)):
            raise UsageError(
                f"{len(adapters)} adapters but {len(texts)} files of texts", hint="one each, or one"
            )
        each = list(texts) * (len(adapters) if len(texts) == 1 else 1)
        space = own.pop("space", "core")
        return {
            "statistics": measured(
                weights, adapters, each, space=space, fisher=method == "fisher", seed=seed, tell=tell
            )
        }
    how = {key: own.pop(key) for key in ("steps", "rate", "batch") if key in own}
    together = [example for one in texts for example in one]
    return {"learning": live.Learning(weights, together, seed=seed, tell=tell, **how)}


def _best_method(
    adapters: Sequence[Adapter],
    weights: Sequence[Any] | None,
    judge: Judge,
    settings: Mapping[str, Any],
    tell: Tell,
) -> Choice:
    scores: dict[str, Scores] = {}
    best: tuple[float, dict[str, Any], Merged] | None = None
    for name, (method, given) in CANDIDATES.items():
        options = {k: float(len(adapters)) if v == "inputs" else v for k, v in given.items()}
        merged = merge(adapters, method, weights, **{**settings, **options})
        scores[name] = judge(merged.adapter, accuracy=False)
        tell(f"{name:14} {scores[name].bits_per_byte:.4f} bits per byte")
        if best is None or scores[name].bits_per_byte < best[0]:
            best = scores[name].bits_per_byte, {"chosen": method, **options}, merged
    assert best is not None
    return Choice(best[2], best[1], scores)
