"""How likely a model finds given texts: what all choosing and checking by a model comes down to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from renga.models.contract import LanguageModel, Prompt, Scores, Session


@dataclass(frozen=True)
class Scored:
    """A text as a model read it. logp: natural log-probability of each token, [n]; lengths: bytes of each,
    [n], together those of the text."""

    logp: NDArray[np.float64]
    lengths: NDArray[np.int64]

    @property
    def total(self) -> float:
        return float(self.logp.sum())

    @property
    def per_byte(self) -> float:
        """Nats per byte, with the sign of a log-probability; 0 for an empty text."""
        return self.total / max(1, int(self.lengths.sum()))


def scored(model: LanguageModel, prompt: Prompt, texts: Sequence[str]) -> list[Scored]:
    """Each of `texts` as the answer to `prompt`, which is read once for all of them."""
    session = model.open(prompt)
    try:
        return [_scored(model, session, model.vocabulary.encode(text)) for text in texts]
    finally:
        if (close := getattr(session, "close", None)) is not None:
            close()


def conditional(model: LanguageModel, question: str, answer: str) -> Scored:
    """`answer` behind the raw text `question`, both read as one answer to an empty prompt: for texts that are
    no answers."""
    ids = model.vocabulary.encode(question + answer)
    session = model.open(Prompt(""))
    found = _scored(model, session, ids)
    ends = np.cumsum(found.lengths)
    first = int(np.searchsorted(ends, len(question.encode()), side="right"))
    return Scored(found.logp[first:], found.lengths[first:])


def _scored(model: LanguageModel, session: Session, ids: Sequence[int]) -> Scored:
    if not ids:
        return Scored(np.zeros(0), np.zeros(0, np.int64))
    scores = session.feed(ids, Scores()).scores
    assert scores is not None
    session.rewind(0)
    return Scored(scores.double().numpy(), model.vocabulary.lengths()[list(ids)].astype(np.int64))
