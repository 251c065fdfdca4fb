"""How good is an answer? Judges give every answer a number, the higher the better.

A plan names one by a word or makes one: judge="agreement", judge=loglik(host), judge=reward("heads", edge).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np

from renga.errors import UsageError, did_you_mean
from renga.models.contract import LanguageModel, Prompt
from renga.models.ensemble.answers import log_likelihood
from renga.models.text import normalised

Utility = Literal["chrf", "f1", "exact", "embedding"]

COMPARE = (
    "Question: {question}\n\nAnswer A: {one}\nAnswer B: {other}\n\n"
    "Which answer to the question is better, A or B? Say one letter."
)


class Judge(Protocol):
    """Scores answers to one prompt, all of which it is shown together."""

    def score(self, prompt: Prompt, answers: Sequence[str]) -> list[float]: ...


class Likelihood:
    """Of an answer under a model: the geometric mean of its bytes' probabilities, in (0, 1)."""

    def __init__(self, model: LanguageModel) -> None:
        self.members = (model,)

    def score(self, prompt: Prompt, answers: Sequence[str]) -> list[float]:
        return [math.exp(min(0.0, log_likelihood(self.members[0], prompt, text))) for text in answers]


def loglik(model: LanguageModel) -> Judge:
    """Judges by the likelihood of the answer under `model`: one pass, nothing is generated."""
    return Likelihood(model)


class Agreement:
    """The share of answers that say the same, up to spelling."""

    def score(self, prompt: Prompt, answers: Sequence[str]) -> list[float]:
        counts = Counter(map(normalised, answers))
        return [counts[normalised(text)] / len(answers) for text in answers]


class Consensus:
    """Minimum Bayes risk: the mean utility of an answer if another of the answers were the truth."""

    def __init__(self, utility: Callable[[str, str], float]) -> None:
        self._utility = utility

    def score(self, prompt: Prompt, answers: Sequence[str]) -> list[float]:
        return [
            sum(self._utility(text, other) for j, other in enumerate(answers) if j != i)
            / max(1, len(answers) - 1)
            for i, text in enumerate(answers)
        ]


class Nearness:
    """Minimum Bayes risk with the cosine of answers as a local model sees them: the mean of its last states
    over each answer, behind the prompt."""

    def __init__(self, model: LanguageModel) -> None:
        from renga.models.ensemble.route import seeing

        self._eye = seeing(model)
        self.members = (model,)

    def score(self, prompt: Prompt, answers: Sequence[str]) -> list[float]:
        from renga.models.ensemble.features import answer_features

        different = list(dict.fromkeys(answers))
        states = answer_features(self._eye, [(prompt.text, text) for text in different])[:, :-1]
        states = states[[different.index(text) for text in answers]]
        states = states / np.linalg.norm(states, axis=1, keepdims=True).clip(1e-12)
        alike = states @ states.T
        return [float((row.sum() - row[i]) / max(1, len(answers) - 1)) for i, row in enumerate(alike)]


def mbr(utility: Utility = "chrf", model: LanguageModel | None = None) -> Judge:
    """Judges by likeness to the other answers: character n-grams ("chrf"), words ("f1"), sameness ("exact"),
    or as the local `model` sees them ("embedding")."""
    if utility == "embedding":
        if model is None:
            raise UsageError("mbr by embedding looks with a local model", hint="mbr('embedding', edge)")
        return Nearness(model)
    return Consensus(UTILITIES[utility])


class Pairwise:
    """A model is asked which of two answers is better, in both orders; the score is the mean preference over
    all pairs (PairRanker's logits, arXiv:2306.02561, without its trained head). In (-inf, inf)."""

    def __init__(self, model: LanguageModel) -> None:
        self.members = (model,)

    def score(self, prompt: Prompt, answers: Sequence[str]) -> list[float]:
        different = list(dict.fromkeys(answers))
        wins = dict.fromkeys(different, 0.0)
        for i, one in enumerate(different):
            for other in different[i + 1 :]:
                # Asked both ways round: what a model likes about being first cancels.
                preferred = (self._first(prompt, one, other) - self._first(prompt, other, one)) / 2
                wins[one] += preferred
                wins[other] -= preferred
        return [wins[text] / max(1, len(different) - 1) for text in answers]

    def _first(self, prompt: Prompt, one: str, other: str) -> float:
        """How much rather A than B, in nats, A being the one."""
        text = COMPARE.format(question=prompt.text, one=one, other=other)
        asked = Prompt(text, prompt.clearance)
        model = self.members[0]
        return log_likelihood(model, asked, "A", ends=False) - log_likelihood(model, asked, "B", ends=False)


def pairwise(model: LanguageModel) -> Judge:
    """Judges by asking `model` of every two answers which is better, in both orders."""
    return Pairwise(model)


def judge_of(given: Judge | LanguageModel | str, models: Sequence[object]) -> Judge:
    """A judge from what a plan names. "loglik" is the last of `models`; a model judges by likelihood."""
    if isinstance(given, str):
        if given in ("agreement", "majority"):
            return Agreement()
        if given == "mbr":
            return Consensus(chrf)
        if given in ("loglik", "pairwise"):
            last = models[-1]
            if not hasattr(last, "open"):
                raise UsageError(
                    f'judge="{given}" needs a model as the last member', hint="judge=loglik(host)"
                )
            return Likelihood(last) if given == "loglik" else Pairwise(last)  # type: ignore[arg-type]
        raise UsageError(
            f"there is no judge {given!r}",
            hint=did_you_mean(given, ["agreement", "majority", "mbr", "loglik", "pairwise", "sure"]),
        )
    return given if hasattr(given, "score") else Likelihood(given)  # type: ignore[return-value]


def chrf(text: str, reference: str, *, order: int = 6, beta: float = 2.0) -> float:
    """Character n-gram F-score, whitespace left out (chrF2, Popović 2015): in [0, 1]."""
    one, other = ("".join(t.split()) for t in (text, reference))
    if one == other:
        return 1.0
    precisions, recalls = [], []
    for n in range(1, order + 1):
        mine, theirs = (Counter(t[i : i + n] for i in range(len(t) - n + 1)) for t in (one, other))
        if not mine or not theirs:
            break
        shared = sum((mine & theirs).values())
        precisions.append(shared / sum(mine.values()))
        recalls.append(shared / sum(theirs.values()))
    if not precisions:
        return 0.0
    p, r = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return (1 + beta**2) * p * r / (beta**2 * p + r) if p + r else 0.0


def token_f1(text: str, reference: str) -> float:
    """The F-score of words, after `normalised`: in [0, 1]."""
    one, other = (Counter(normalised(t).split()) for t in (text, reference))
    if not one or not other:
        return float(one == other)
    shared = sum((one & other).values())
    return 2 * shared / (sum(one.values()) + sum(other.values()))


def same(text: str, reference: str) -> float:
    """1 if both say the same, up to spelling."""
    return float(normalised(text) == normalised(reference))


UTILITIES: dict[str, Callable[[str, str], float]] = {"chrf": chrf, "f1": token_f1, "exact": same}
