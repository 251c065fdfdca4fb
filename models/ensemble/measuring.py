"""How good is a plan on texts with known answers? For whatever answers: by its rows, and by what it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from renga.errors import RengaError
from renga.models.composed import close_session, total
from renga.models.contract import LanguageModel, Prompt, Responder, Sampling, Scores
from renga.models.example import Example
from renga.models.meter import Meter
from renga.models.responders import answer_by
from renga.models.text import normalised

SPARE_TOKENS = 4  # an answer may run longer than the right one


@runtime_checkable
class _Opens(LanguageModel, Protocol):
    """A language model, as can be seen from outside."""


@dataclass(frozen=True)
class Measured:
    """Of each text: bits of the response (nan for a responder, which has no rows) and whether what was said
    is right. `cost`: of all together."""

    bits: NDArray[np.float64]
    bytes: NDArray[np.float64]
    right: NDArray[np.float64]
    answers: list[str]
    cost: Meter

    @property
    def bits_per_byte(self) -> float:
        return float(self.bits.sum() / max(1.0, self.bytes.sum()))

    @property
    def accuracy(self) -> float:
        return float(self.right.mean()) if len(self.right) else math.nan


def measure(
    answering: Responder | LanguageModel,
    examples: Sequence[Example],
    *,
    said: bool = True,
    scored: bool = True,
    count: Callable[[str], int] = lambda text: len(text.encode()),
    tick: Callable[[int, int], None] | None = None,
    clearance: str = "raw",
) -> Measured:
    """Score `answering` on examples with responses. said: let it answer, greedily; scored: by its rows, too;
    count: tokens in a text, which bounds how long an answer may be."""
    from renga.models.contract import Clearance

    before = total(answering)
    bits, right, answers = [], [], []
    for number, example in enumerate(examples, 1):
        prompt = Prompt(example.prompt, Clearance(clearance))
        bits.append(_bits(answering, prompt, example.response or "") if scored else math.nan)
        if said:
            longest = max(count(text) for text in (example.response or "", *example.choices))
            text = answer_by(answering, prompt, Sampling(max_tokens=longest + SPARE_TOKENS))
            answers.append(text)
            right.append(float(normalised(text) == normalised(example.response or "")))
        if tick:
            tick(number, len(examples))
    after = total(answering)
    cost = Meter(
        passes=after.passes - before.passes,
        tokens=after.tokens - before.tokens,
        bytes_up=after.bytes_up - before.bytes_up,
        bytes_down=after.bytes_down - before.bytes_down,
        seconds=after.seconds - before.seconds,
    )
    sizes = np.array([float(len((example.response or "").encode())) for example in examples])
    return Measured(np.array(bits), sizes, np.array(right), answers, cost)


def _bits(answering: Responder | LanguageModel, prompt: Prompt, text: str) -> float:
    """Of a text under a model, its end not counted; nan where there are no rows to know it from."""
    if not isinstance(answering, _Opens):
        return math.nan
    ids = answering.vocabulary.encode(text)
    session = answering.open(prompt)
    try:
        scores = session.feed(ids, Scores()).scores
    finally:
        close_session(session)
    if scores is None:
        raise RengaError("a session gave no scores")
    return -float(scores.double().sum()) / math.log(2)


def paired_interval(
    one: NDArray[np.float64], other: NDArray[np.float64], *, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of mean(one - other), both measured on the same texts."""
    rng = np.random.default_rng(seed)
    differences = one - other
    means = differences[rng.integers(len(differences), size=(draws, len(differences)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def paired_ratio_interval(
    one: NDArray[np.float64],
    other: NDArray[np.float64],
    sizes: NDArray[np.float64],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % bootstrap interval of the difference in sum(bits) / sum(sizes), over texts that both were measured
    on."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(sizes), size=(draws, len(sizes)))
    ratios = (one - other)[drawn].sum(1) / sizes[drawn].sum(1).clip(1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)
