"""Whole answers to choose from: who gave them, and how sure each was of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from renga.errors import RengaError
from renga.models.composed import Absence, close_session, name_of
from renga.models.contract import LanguageModel, Prompt, Responder, Sampling, Scores
from renga.models.responders import answer_by


@dataclass(frozen=True)
class Candidate:
    """An answer, and who gave it: the number of the responder."""

    text: str
    by: int


def candidates(
    responders: Sequence[Responder | LanguageModel],
    prompt: Prompt,
    sampling: Sampling,
    n: int,
    temperature: float,
    absences: list[Absence],
) -> list[Candidate]:
    """`n` answers of each: the first as `sampling` says, the others at `temperature` with seeds of their own.

    One that fails is left out and noted. Raises RengaError if nobody answered.
    """
    found: list[Candidate] = []
    for by, responder in enumerate(responders):
        try:
            for number in range(n):
                how = sampling
                if number:
                    how = replace(sampling, temperature=temperature, seed=sampling.seed + 7919 * number)
                found.append(Candidate(answer_by(responder, prompt, how), by))
        except RengaError as error:
            absences.append(Absence(name_of(responder), 0, error.message))
    if not found:
        raise RengaError(f"nobody is left to answer ({'; '.join(map(str, absences))})")
    return found


def log_likelihood(model: LanguageModel, prompt: Prompt, text: str, *, ends: bool = True) -> float:
    """The natural log-probability of an answer, with its end, per byte (an answer without bytes counts as
    one).

    -inf if the model's vocabulary can't spell it.
    """
    ids = model.vocabulary.attempt_many([text])[0]
    if ids is None:
        return -math.inf
    session = model.open(prompt)
    try:
        scores = session.feed([*ids, model.vocabulary.end] if ends else ids, Scores()).scores
    finally:
        close_session(session)
    assert scores is not None
    return float(scores.double().sum()) / max(1, len(text.encode()))
