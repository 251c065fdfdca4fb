"""The small model answers; a larger one is asked when that answer does not hold."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from renga.errors import RengaError, UsageError
from renga.models.composed import Absence, name_of
from renga.models.contract import Clearance, LanguageModel, Piece, Prompt, Responder, Sampling
from renga.models.ensemble.judges import Judge, Likelihood, judge_of
from renga.models.ensemble.measuring import SPARE_TOKENS
from renga.models.example import Example
from renga.models.responders import answer_by
from renga.models.text import normalised


@dataclass
class Cascading:
    """See `cascade`. `asked`: how often each stage was asked."""

    members: Sequence[Responder | LanguageModel]
    judge: Judge | None  # None: by samples of the stage's own
    accept: Sequence[float]
    hopeless: float
    n: int
    temperature: float
    absences: list[Absence] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def respond(self, prompt: Prompt, sampling: Sampling) -> Iterator[Piece]:
        if not self.asked:
            self.asked = [0] * len(self.members)
        text = None
        for stage, member in enumerate(self.members):
            self.asked[stage] += 1
            try:
                text = answer_by(member, prompt, sampling)
                if stage == len(self.members) - 1:
                    break
                score = self.score(member, prompt, text, sampling)
            except RengaError as error:
                self.absences.append(Absence(name_of(member), 0, error.message))
                continue
            if score >= self.accept[stage] or score < self.hopeless:
                break
        if text is None:
            raise RengaError(f"no stage of the cascade answered ({'; '.join(map(str, self.absences))})")
        yield Piece(text)

    def score(
        self, member: Responder | LanguageModel, prompt: Prompt, text: str, sampling: Sampling
    ) -> float:
        """How well the answer `text` of `member` holds."""
        if self.judge is not None:
            return self.judge.score(prompt, [text])[0]
        hot = [
            replace(sampling, temperature=self.temperature, seed=sampling.seed + 7919 * i)
            for i in range(1, self.n)
        ]
        again = [normalised(answer_by(member, prompt, how)) for how in hot]
        return (1 + again.count(normalised(text))) / self.n


def cascade(
    *responders: Responder | LanguageModel,
    judge: Judge | LanguageModel | str = "agreement",
    accept: float | Sequence[float] = 0.8,
    hopeless: float = 0.0,
    n: int = 5,
    temperature: float = 0.8,
) -> Cascading:
    """The first of `responders` whose answer a judge accepts; the last one's word stands.

    judge: "agreement" (the share of `n` answers that say the same, sampled at `temperature`), "loglik" (the
    likelihood under the last model), "sure" (under the model that answered first), or a judge. accept: a
    score from which on an answer stands, or one for each stage but the last; `fit_thresholds` finds them for
    a budget. hopeless: an answer below it stands, too, since a larger model would not know either (AutoMix).
    """
    if len(responders) < 2:
        raise UsageError("cascade needs at least two models", hint="cascade(edge, host)")
    steps = len(responders) - 1
    accepts = [accept] * steps if isinstance(accept, int | float) else list(accept)
    if len(accepts) != steps:
        raise UsageError(f"cascade has {steps} decisions and {len(accepts)} thresholds in accept")
    chosen: Judge | None
    if judge == "agreement":
        chosen = None
        if n < 2:
            raise UsageError("agreement needs n of at least 2")
    elif judge == "sure":
        if not hasattr(responders[0], "open"):
            raise UsageError('judge="sure" needs a model as the first member')
        chosen = Likelihood(responders[0])  # type: ignore[arg-type]
    else:
        chosen = judge_of(judge, responders)
    return Cascading(responders, chosen, accepts, hopeless, n, temperature)


def fit_cascade(
    model: Cascading, examples: Sequence[Example], share: float, clearance: Clearance = Clearance.RAW
) -> list[float]:
    """The thresholds of `model` that get most of the examples right when at most a `share` of them may reach
    its last stage. Every stage answers every text."""
    scores, right = [], []
    for example in examples:
        prompt = Prompt(example.prompt, clearance)
        wanted = (example.response or "", *example.choices)
        sampling = Sampling(max_tokens=max(len(text.encode()) for text in wanted) + SPARE_TOKENS)
        said = [answer_by(member, prompt, sampling) for member in model.members]
        small = zip(model.members[:-1], said[:-1], strict=True)
        scores.append([model.score(member, prompt, text, sampling) for member, text in small])
        right.append([float(normalised(text) == normalised(wanted[0])) for text in said])
    costs = [0.0] * (len(model.members) - 1) + [1.0]
    return fit_thresholds(np.array(scores), np.array(right), costs, share)


def fit_thresholds(
    scores: NDArray[np.float64],
    right: NDArray[np.float64],
    costs: Sequence[float],
    budget: float,
    grid: int = 20,
) -> list[float]:
    """The thresholds that get most right at a mean cost of at most `budget` (FrugalGPT's grid of quantiles).

    scores: of each text at every stage but the last [texts, stages - 1]; right: how right each stage would be
    [texts, stages]; costs: of asking each stage once. Raises UsageError if no threshold is cheap enough.
    """
    ways = [
        [-np.inf, *np.unique(np.quantile(column, np.linspace(0, 1, grid))), np.inf] for column in scores.T
    ]
    best: tuple[float, float, list[float]] | None = None
    for thresholds in itertools.product(*ways):
        accuracy, cost = replayed(scores, right, costs, thresholds)
        if cost <= budget + 1e-12 and (best is None or (accuracy, -cost) > (best[0], -best[1])):
            best = accuracy, cost, [float(t) for t in thresholds]
    if best is None:
        raise UsageError(
            f"no thresholds keep within a budget of {budget:g}; the first stage alone costs {costs[0]:g}"
        )
    return best[2]


def replayed(
    scores: NDArray[np.float64],
    right: NDArray[np.float64],
    costs: Sequence[float],
    thresholds: Sequence[float],
) -> tuple[float, float]:
    """Mean accuracy and cost of a cascade on recorded answers."""
    texts = len(right)
    going = np.ones(texts, bool)
    accuracy = np.zeros(texts)
    cost = np.zeros(texts)
    for stage in range(right.shape[1]):
        cost[going] += costs[stage]
        stands = going.copy()
        if stage < right.shape[1] - 1:
            stands &= scores[:, stage] >= thresholds[stage]
        accuracy[stands] = right[stands, stage]
        going &= ~stands
    return float(accuracy.mean()), float(cost.mean())
