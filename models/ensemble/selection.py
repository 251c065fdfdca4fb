"""After inference: one answer of several, picked or made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from renga.errors import UsageError
from renga.models.composed import Absence
from renga.models.contract import LanguageModel, Piece, Prompt, Responder, Sampling
from renga.models.ensemble.answers import Candidate, candidates
from renga.models.ensemble.judges import Agreement, Judge, judge_of
from renga.models.responders import respond_by

By = Literal["majority", "mbr", "loglik", "pairwise", "judge"]

UNDECIDED = "(no majority)"


@dataclass
class Selecting:
    """See `select`. `last`: the candidates of the last answer and their scores."""

    members: Sequence[Responder | LanguageModel]
    judge: Judge
    n: int
    temperature: float
    abstain: float
    absences: list[Absence] = field(default_factory=list)
    last: list[tuple[Candidate, float]] = field(default_factory=list)

    def respond(self, prompt: Prompt, sampling: Sampling) -> Iterator[Piece]:
        found = candidates(self.members, prompt, sampling, self.n, self.temperature, self.absences)
        scores = self.judge.score(prompt, [candidate.text for candidate in found])
        self.last = list(zip(found, scores, strict=True))
        best = max(range(len(found)), key=lambda i: scores[i])  # of equals the first
        yield Piece(found[best].text if scores[best] >= self.abstain else UNDECIDED)


def select(
    *responders: Responder | LanguageModel,
    by: By = "majority",
    judge: Judge | LanguageModel | str | None = None,
    n: int = 1,
    temperature: float = 0.8,
    abstain: float = 0.0,
) -> Selecting:
    """The best of `n` answers of each: by majority, by likeness to the others (mbr), or by what a judge says.

    by="loglik" and "pairwise" judge with the last of the models; judge= takes any other. The first answer of
    each is as asked for, further ones are sampled at `temperature`. abstain: below this score nothing is
    answered, and that is said: with by="majority" the share of answers that agree.
    """
    if not responders:
        raise UsageError("select needs at least one model")
    if n < 1 or len(responders) * n < 2:
        raise UsageError("select has one answer to choose from", hint="name several models, or n=5")
    if by == "judge" and judge is None:
        raise UsageError('select(…, by="judge") needs a judge', hint="judge=loglik(host)")
    named = judge if judge is not None else by
    chosen = Agreement() if named == "majority" else judge_of(named, responders)
    return Selecting(responders, chosen, n, temperature, abstain or float("-inf"))


GENFUSE = (
    "Several answers to a question are given. Write the one best answer to it: keep what is right in them, "
    "leave out what is wrong.\n\nQuestion: {question}\n\n{answers}\n\nBest answer:"
)
ASK_AGAIN = "{question}\n\nOthers answered:\n{answers}\n\nGive your own best answer."


@dataclass
class Combining:
    """See `combine`."""

    members: Sequence[Responder | LanguageModel]  # the fuser last
    proposers: Sequence[Responder | LanguageModel]
    layers: int
    n: int
    top: int
    temperature: float
    absences: list[Absence] = field(default_factory=list)

    def respond(self, prompt: Prompt, sampling: Sampling) -> Iterator[Piece]:
        found = candidates(self.proposers, prompt, sampling, self.n, self.temperature, self.absences)
        for _ in range(self.layers - 1):
            shown = prompt.asking(ASK_AGAIN.format(question=prompt.text, answers=self._listed(prompt, found)))
            found = candidates(self.proposers, shown, sampling, self.n, self.temperature, self.absences)
        asked = GENFUSE.format(question=prompt.text, answers=self._listed(prompt, found))
        yield from respond_by(self.members[-1], prompt.asking(asked), sampling)

    def _listed(self, prompt: Prompt, found: list[Candidate]) -> str:
        """The best `top` answers, each once, by agreement."""
        scores = Agreement().score(prompt, [candidate.text for candidate in found])
        ranked = sorted(range(len(found)), key=lambda i: -scores[i])
        texts = list(dict.fromkeys(found[i].text.strip() for i in ranked))[: self.top]
        return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))


def combine(
    *responders: Responder | LanguageModel,
    fuser: Responder | LanguageModel | None = None,
    layers: int = 1,
    n: int = 1,
    top: int = 3,
    temperature: float = 0.8,
) -> Combining:
    """A new answer written by `fuser` (the last model if none is named) from the best `top` answers.

    layers > 1: the models first answer again, shown each other's answers (Mixture-of-Agents,
    arXiv:2406.04692). combine(host, n=3) is the honest control: one model, several samples (Self-MoA,
    arXiv:2502.00674).
    """
    if not responders:
        raise UsageError("combine needs at least one model")
    if layers < 1 or n < 1 or top < 1:
        raise UsageError("combine: layers, n and top are at least 1")
    by = fuser if fuser is not None else responders[-1]
    return Combining([*responders, by], responders, layers, n, top, temperature)
