"""Before inference: the prompt goes to whoever is likely to know, and to nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from renga.errors import UsageError
from renga.models.composed import ALL_WANTS, name_of, parts_of
from renga.models.contract import LanguageModel, Piece, Prompt, Sampling, Session
from renga.models.ensemble.bandit import Bandit
from renga.models.ensemble.features import prompt_features
from renga.models.ensemble.fuse import Align, RuleName, fuse
from renga.models.ensemble.router import Router
from renga.models.local import LocalModel
from renga.models.responders import respond_by
from renga.models.vocabulary import Vocabulary

Features = Callable[[str], NDArray[np.float64]]  # of one prompt: [features]


class Routed:
    """See `route`. As a model it speaks the first member's vocabulary; whole answers are the chosen member's
    own. `asked` counts how often each was chosen, `last` is the last choice, with its weights."""

    offers = ALL_WANTS

    def __init__(
        self,
        members: Sequence[LanguageModel],
        router: Router | Bandit,
        features: Features,
        top: int,
        rule: RuleName = "mean",
        align: Align = "string",
    ) -> None:
        self.members = tuple(members)
        self.router = router
        self.top = top
        self._features = features
        self._rule, self._align = rule, align
        self.asked = [0] * len(members)
        self.last: list[tuple[int, float]] = []

    @property
    def vocabulary(self) -> Vocabulary:
        return self.members[0].vocabulary

    def fusing(self, rule: RuleName, align: Align) -> Routed:
        """The same with another rule for those that are chosen together."""
        return Routed(self.members, self.router, self._features, self.top, rule, align)

    def choose(self, prompt: Prompt) -> list[tuple[int, float]]:
        """The members to ask, best first, and their weights, which sum to 1."""
        features = self._features(prompt.text)
        if self.top == 1:
            chosen = [(int(self.router.pick(features[None])[0]), 1.0)]
        else:
            p = self.router.probabilities(features[None])[0]
            best = sorted(range(len(p)), key=lambda i: -p[i])[: self.top]
            whole = float(sum(p[i] for i in best))
            chosen = [(i, float(p[i]) / whole) for i in best]
        for index, _ in chosen:
            self.asked[index] += 1
        self.last = chosen
        return chosen

    def open(self, prompt: Prompt) -> Session:
        return self._made(self.choose(prompt)).open(prompt)

    def respond(self, prompt: Prompt, sampling: Sampling) -> Iterator[Piece]:
        chosen = self.choose(prompt)
        # One alone answers in its own tokens; several are fused over the first member's.
        answering = self.members[chosen[0][0]] if len(chosen) == 1 else self._made(chosen)
        return respond_by(answering, prompt, sampling)

    def _made(self, chosen: list[tuple[int, float]]) -> LanguageModel:
        first = self.members[0]
        models = [self.members[index] for index, _ in chosen]
        weights = [weight for _, weight in chosen]
        if first not in models:  # it has no say, but its tokens are those we speak in
            models, weights = [first, *models], [0.0, *weights]
        else:
            at = models.index(first)
            models.insert(0, models.pop(at))
            weights.insert(0, weights.pop(at))
        return fuse(*models, weights=weights, rule=self._rule, align=self._align)


def route(
    *models: LanguageModel,
    router: str,
    by: LanguageModel | None = None,
    top: int = 1,
) -> Routed:
    """The one of `models` that a trained router finds likeliest to know, or its `top` best, fused by its
    weights.

    router: a file that `renga train-router` made for as many models, in this order, or "bandit:FILE", which
    learns from `renga plan feedback`. by: the local model whose view of the prompt the router sees, the first
    local one unless named; it must be the one that the router was trained with.
    """
    if not models:
        raise UsageError("route needs at least one model")
    if not 1 <= top <= len(models):
        raise UsageError(f"route: top lies between 1 and {len(models)}, the number of models")
    eye = seeing(by if by is not None else models)
    if router.startswith("bandit:"):
        read: Router | Bandit = Bandit.open(Path(router.partition(":")[2]), [name_of(m) for m in models])
    else:
        read = Router.load(Path(router))
    if len(read.members) != len(models):
        raise UsageError(
            f"{router} was trained for {len(read.members)} models ({', '.join(read.members)}), "
            f"and the plan routes to {len(models)}"
        )
    return Routed(models, read, lambda text: prompt_features(eye, [text])[0], top)


def seeing(given: object) -> LocalModel:
    """The first local model in a model or among several: bare, whatever adapter it wears there, so that all
    clients of a cohort see alike."""
    for model in given if isinstance(given, tuple | list) else [given]:
        for part in parts_of(model):
            if isinstance(part, LocalModel):
                return LocalModel(part.weights)
    raise UsageError("a router looks at prompts with a local model, and there is none", hint="by=edge")
