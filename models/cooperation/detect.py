"""Detectors: does an answer hold? Each marks the places that don't, with a reason and how sure it is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from renga.errors import RengaError
from renga.models.contract import LanguageModel, Prompt, Responder, Sampling
from renga.models.cooperation.likelihood import scored
from renga.models.cooperation.spans import Span, sentences, tokens
from renga.models.text import normalised


@dataclass(frozen=True)
class Mark:
    """A place of an answer, and how likely it does not hold: 0 to 1."""

    span: Span
    score: float
    reason: str
    detector: str


@runtime_checkable
class Detector(Protocol):
    """Something that looks at answers."""

    @property
    def name(self) -> str: ...

    def inspect(self, question: Prompt, answer: str) -> list[Mark]:
        """Marks, one at least for each sentence it has a word on. Raises RengaError when it can't tell."""
        ...


class Likelihood:
    """How little a model expects each sentence: its own (SelfCheck's −log p) or, better, another's.

    The score is 1 − 2^−(bits per byte), so that 0 is certain and 1 is noise.
    """

    def __init__(self, model: LanguageModel, *, name: str = "likelihood") -> None:
        self._model = model
        self.name = name

    def inspect(self, question: Prompt, answer: str) -> list[Mark]:
        if not answer:
            return []
        (found,) = scored(self._model, question, [answer])
        ends = np.cumsum(found.lengths)
        marks = []
        for span in sentences(answer):
            first, last = (len(answer[:at].encode()) for at in (span.start, span.end))
            inside = (ends > first) & (ends <= last + 1)
            bits = -float(found.logp[inside].sum()) / math.log(2) / max(1, last - first)
            reason = f"unexpected: {bits:.2f} bits per byte"
            marks.append(Mark(span, 1 - 2**-bits, reason, self.name))
        return marks


Sampler = Callable[[Prompt, int], Sequence[str]]  # question, how many -> answers


def sampler(responder: Responder, sampling: Sampling) -> Sampler:
    """Answers of a responder under seeds of their own."""

    def sample(question: Prompt, count: int) -> list[str]:
        seeds = (sampling.seed + 1 + i for i in range(count))
        drawn = (Sampling(sampling.temperature or 1.0, sampling.top_p, sampling.top_k, sampling.max_tokens, s)
                 for s in seeds)  # fmt: skip
        return ["".join(piece.text for piece in responder.respond(question, s)) for s in drawn]

    return sample


class SelfCheck:
    """Contradiction by samples, by words (SelfCheckGPT's n-gram variant, arXiv:2303.08896): how unlikely a
    sentence's words are under a smoothed count of the words of the samples and of the answer itself."""

    def __init__(self, sample: Sampler, *, samples: int = 5, name: str = "selfcheck") -> None:
        self._sample, self._samples = sample, samples
        self.name = name

    def inspect(self, question: Prompt, answer: str) -> list[Mark]:
        texts = [*self._sample(question, self._samples), answer]
        counts = Counter(token for text in texts for token in tokens(text))
        total = sum(counts.values()) + len(counts) + 1
        # What a word costs that only the answer has: the most a word of the answer can.
        most = -math.log(2 / total)
        marks = []
        for span in sentences(answer):
            said = tokens(span.of(answer))
            if said:
                cost = sum(-math.log((counts[token] + 1) / total) for token in said) / len(said)
                alone = [t for t in said if counts[t] <= said.count(t)]
                reason = (
                    f"not in other answers: {', '.join(dict.fromkeys(alone[:4]))}"
                    if alone
                    else "as in others"
                )
                marks.append(Mark(span, min(1.0, cost / most), reason, self.name))
        return marks


class CrossCheck:
    """SAC3's check (arXiv:2311.01740): the share of other answers that do not say the same, over rephrased
    questions to the same responder and the question to others."""

    def __init__(
        self,
        others: Sequence[Responder],
        sampling: Sampling,
        *,
        rephrase: Callable[[str], Sequence[str]] | None = None,
        same: Callable[[str, str], bool] | None = None,
        name: str = "crosscheck",
    ) -> None:
        """others: whoever else is asked; rephrase: further wordings of the question, for all of them."""
        self._others, self._sampling = others, sampling
        self._rephrase = rephrase or rephrasings
        self._same = same or same_answer
        self.name = name

    def inspect(self, question: Prompt, answer: str) -> list[Mark]:
        wordings = [question.text, *self._rephrase(question.text)]
        given = [
            "".join(piece.text for piece in other.respond(Prompt(text, question.clearance), self._sampling))
            for other in self._others
            for text in wordings
        ]
        if not given:
            raise RengaError(f"{self.name}: nobody else to ask")
        unlike = [text for text in given if not self._same(answer, text)]
        reason = f"{len(unlike)} of {len(given)} other answers differ"
        if unlike:
            reason += f", as {_short(unlike[0])}"
        return [Mark(Span(0, len(answer)), len(unlike) / len(given), reason, self.name)]


def rephrasings(question: str) -> list[str]:
    """The question in other words around it; a model with an opinion answers all alike."""
    return [f"Please answer this: {question}", f"{question}\nGive a short answer."]


def same_answer(one: str, other: str) -> bool:
    """Whether two answers say the same: alike after normalising, one inside the other, or, for longer ones,
    most of their words in common."""
    a, b = normalised(one), normalised(other)
    if not a or not b:
        return a == b
    if f" {a} " in f" {b} " or f" {b} " in f" {a} ":
        return True
    x, y = Counter(tokens(a)), Counter(tokens(b))
    common = sum((x & y).values())
    return 2 * common / max(1, sum(x.values()) + sum(y.values())) > 0.7


class Failing:
    """A detector that can't tell, for tests and drills."""

    def __init__(self, why: str = "out of order", *, name: str = "failing") -> None:
        self._why = why
        self.name = name

    def inspect(self, question: Prompt, answer: str) -> list[Mark]:
        raise RengaError(f"{self.name}: {self._why}")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 40 else f"{text[:37]}…")
