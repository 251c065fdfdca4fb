"""Search over steps: several ways to go on are tried, and a verifier says which to keep.

GRACE's scheme (arXiv:2305.14934): of each beam k steps are sampled, up to the next delimiter, and the best by
(1 − weight) · mean log-probability + weight · verdict go on. With one step and one beam it is best-of-k.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from renga.errors import UsageError
from renga.models.contract import Full, LanguageModel, Piece, Prompt, Sampling, Scores, Session
from renga.models.cooperation.detect import Detector
from renga.models.noise import Place, chosen
from renga.models.seeds import derived

Verifier = Callable[[str, str], float]  # question, answer so far -> how good, 0 to 1


@dataclass(frozen=True)
class Beam:
    """An answer so far."""

    ids: tuple[int, ...] = ()
    logp: float = 0.0
    score: float = 0.0
    ended: bool = False


class Searching:
    """A responder that searches; see `search`."""

    def __init__(
        self,
        model: LanguageModel,
        verify: Verifier,
        k: int,
        beams: int,
        weight: float,
        delimiter: str,
        steps: int,
    ) -> None:
        self.members = (model,)
        self._verify, self._k, self._beams, self._weight = verify, k, beams, weight
        self._delimiter, self._steps = delimiter.encode(), steps

    def respond(self, prompt: Prompt, sampling: Sampling) -> Iterator[Piece]:
        vocabulary = self.members[0].vocabulary
        best = self.best(prompt, sampling)
        if text := vocabulary.bytes_of(best.ids).decode("utf-8", "replace"):
            yield Piece(text)

    def best(self, prompt: Prompt, sampling: Sampling) -> Beam:
        """The answer that the search ends with."""
        model = self.members[0]
        session = model.open(prompt)
        beams = [Beam()]
        try:
            for step in range(self._steps):
                if all(beam.ended for beam in beams):
                    break
                grown: dict[tuple[int, ...], Beam] = {}
                for number, beam in enumerate(beams):
                    if beam.ended:
                        grown[beam.ids] = beam
                        continue
                    for way in range(self._k):
                        seed = derived(sampling.seed, "search", step, number, way)
                        new = self._step(session, beam, sampling, seed)
                        grown.setdefault(new.ids, self._judged(prompt, new))
                beams = sorted(grown.values(), key=lambda beam: -beam.score)[: self._beams]
        finally:
            if (close := getattr(session, "close", None)) is not None:
                close()
        return beams[0]

    def _judged(self, prompt: Prompt, beam: Beam) -> Beam:
        text = self.members[0].vocabulary.bytes_of(beam.ids).decode("utf-8", "replace")
        mean = beam.logp / max(1, len(beam.ids))
        score = (1 - self._weight) * mean + self._weight * self._verify(prompt.text, text)
        return Beam(beam.ids, beam.logp, score, beam.ended)

    def _step(self, session: Session, beam: Beam, sampling: Sampling, seed: int) -> Beam:
        """The beam, with a sampled step more."""
        vocabulary = self.members[0].vocabulary
        drawn = Sampling(
            sampling.temperature or 1.0, sampling.top_p, sampling.top_k, sampling.max_tokens, seed
        )
        session.rewind(0)
        if beam.ids:
            session.feed(beam.ids, Scores())
        ids, logp, place = list(beam.ids), beam.logp, Place(len(vocabulary.bytes_of(beam.ids)))
        said = b""
        pending: list[int] = []
        while len(ids) < sampling.max_tokens:
            row = session.feed(pending, Full()).logp
            assert row is not None
            id = chosen(row[-1], vocabulary, drawn, place)
            logp += float(row[-1, id])
            if id in vocabulary.specials or id == vocabulary.end:
                return Beam(tuple(ids), logp, ended=True)
            ids.append(id)
            place = place.after(vocabulary, id)
            said += vocabulary.token_bytes(id)
            pending = [id]
            if self._delimiter in said.lstrip(self._delimiter):
                return Beam(tuple(ids), logp)
        return Beam(tuple(ids), logp, ended=True)


def search(
    model: LanguageModel,
    verify: Verifier | Detector,
    *,
    k: int = 4,
    beams: int = 1,
    weight: float = 0.5,
    delimiter: str = "\n",
    steps: int = 8,
) -> Searching:
    """A responder that goes on, step by step, in the way that `verify` finds best.

    verify: a function of question and answer so far, or a detector, whose worst mark counts against. k: steps
    tried from each of `beams`; steps: the most there are. weight 1: the verdict alone.
    """
    if k < 1 or beams < 1 or steps < 1 or not 0 <= weight <= 1 or not delimiter:
        raise UsageError(f"k = {k}, beams = {beams}, steps = {steps}, weight = {weight}: from 1, and 0 to 1")
    found = by_detector(verify) if not callable(verify) else verify
    return Searching(model, found, k, beams, weight, delimiter, steps)


def by_detector(detector: Detector) -> Verifier:
    """A verifier that is content where the detector marks nothing."""

    def verify(question: str, answer: str) -> float:
        marks = detector.inspect(Prompt(question), answer)
        return 1 - max((mark.score for mark in marks), default=0.0)

    return verify
