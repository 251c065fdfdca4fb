"""Cooperation as plans write it: operands, plain values, and files by name.

retrieve(host, passages("notes.db", edge), graph("facts.tsv", edge), k=4)
guard(edge, exact(passages("notes.db")), likelihood(host), then="escalate", escalate=host)
compress(host, 200, model=edge)
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from renga.errors import UsageError, did_you_mean
from renga.models.contract import Clearance, LanguageModel, Prompt, Responder, Sampling
from renga.models.cooperation.compress import Compressing, compressing
from renga.models.cooperation.consistency import Entailment, Exact, Facts
from renga.models.cooperation.database import open_database
from renga.models.cooperation.dense import TokenVectors
from renga.models.cooperation.detect import CrossCheck, Detector, Likelihood, SelfCheck, sampler
from renga.models.cooperation.graph import ByLikelihood, ByWords, GraphSource, read_triples
from renga.models.cooperation.guard import Guarded, Policy, Then, guard
from renga.models.cooperation.guide import Conditioned
from renga.models.cooperation.index import How, PassageIndex
from renga.models.cooperation.retrieve import Retrieving, retrieve
from renga.models.cooperation.review import Queued, ReviewQueue
from renga.models.cooperation.search import Searching, search
from renga.models.cooperation.soft import SoftCompressor, SoftModel
from renga.models.cooperation.sources import Passages, Relay, Source
from renga.models.cooperation.sql_source import SqlSource
from renga.models.cooperation.verdicts import Weights
from renga.models.ensemble.judges import Judge, judge_of
from renga.models.local import LocalModel

Follow = Literal["show", "correct", "escalate", "abstain", "ask"]


def passages(
    path: str, model: LanguageModel | None = None, *, how: How = "both", public: bool = False
) -> Source:
    """Passages of an index that `renga index` made; with the model it was made with, by vectors, too.

    public: nothing in it is private, so that a prompt with its passages may travel.
    """
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such index", hint="renga index FILES --out makes one")
    embedder = None if model is None else TokenVectors(_here(model, "passages"))
    return Passages(
        PassageIndex(Path(path), embedder),
        name=path,
        how=how if embedder else "words",
        clearance=_clearance(public),
    )


def graph(
    path: str, model: LanguageModel | None = None, *, hops: int = 3, width: int = 3, public: bool = False
) -> Source:
    """A file of triples; relations are chosen by the model's likelihood, or without one by shared words."""
    choose = ByWords() if model is None else ByLikelihood(model)
    return GraphSource(
        read_triples(Path(path)), choose, name=path, hops=hops, width=width, clearance=_clearance(public)
    )


def database(path: str, model: LanguageModel | None = None, *, public: bool = False) -> Source:
    """A SQLite or DuckDB file, asked by queries that follow a grammar; the model picks among them."""
    return SqlSource(open_database(Path(path)), model, clearance=_clearance(public))


def relay(*sources: Source, rounds: int = 2) -> Source:
    """Sources that are asked again about what the others found."""
    return Relay(sources, rounds=rounds)


def retrieving(
    responder: Responder | LanguageModel, *sources: Source, k: int = 4, room: int = 600
) -> Retrieving:
    """Answers from sources, cited: at most `k` findings, of at most `room` tokens together."""
    return retrieve(responder, sources, k=k, room=room)


def likelihood(model: LanguageModel) -> Detector:
    """Detects what `model` finds unlikely, best another model than the one that answers."""
    return Likelihood(model)


def selfcheck(responder: Responder | LanguageModel, *, samples: int = 5, max_tokens: int = 64) -> Detector:
    """Detects what further answers of `responder` do not say."""
    return SelfCheck(sampler(_responder(responder), Sampling(1.0, max_tokens=max_tokens)), samples=samples)


def crosscheck(*responders: Responder | LanguageModel, max_tokens: int = 64) -> Detector:
    """Detects what other responders, and other wordings of the question, answer otherwise (SAC3)."""
    return CrossCheck([_responder(r) for r in responders], Sampling(max_tokens=max_tokens))


def exact(source: Source, *, k: int = 4) -> Detector:
    """Detects numbers, names and dates that stand in none of the passages that `source` finds."""
    return Exact(lambda question: [finding.text for finding in source.find(question.text, k)])


def entailment(source: Source, model: LanguageModel, *, k: int = 4) -> Detector:
    """Detects what the passages that `source` finds do not carry, by the model's likelihood."""
    return Entailment(lambda question: [finding.text for finding in source.find(question.text, k)], model)


def facts(path: str) -> Detector:
    """Detects what contradicts a file of triples."""
    return Facts(read_triples(Path(path)))


def guarding(
    responder: Responder | LanguageModel,
    *detectors: Detector,
    then: Follow = "show",
    threshold: float = 0.5,
    failing: Follow = "show",
    escalate: Responder | LanguageModel | None = None,
    queue: str = "",
    seconds: float = 600.0,
    weights: str = "",
) -> Guarded:
    """Answers that detectors look at; what follows when one does not hold is `then`, when a detector can't
    tell `failing`.

    queue: the file where a person is asked, for `seconds`. weights: of the detectors, by
    `renga review --train`.
    """
    for value in (then, failing):
        if value not in list(Then):
            raise UsageError(
                f"nothing is called {value!r}", hint=did_you_mean(value, [t.value for t in Then])
            )
    reviewer = Queued(ReviewQueue(Path(queue)), seconds=seconds) if queue else None
    return guard(
        responder,
        detectors,
        Policy(Then(then), threshold, Then(failing)),
        escalate=escalate,
        reviewer=reviewer,
        combination=Weights.load(Path(weights)) if weights else None,
    )


def compressed(
    responder: Responder | LanguageModel,
    budget: int,
    *,
    method: str = "both",
    model: LanguageModel | None = None,
) -> Compressing:
    """Prompts cut to `budget` tokens before they go on; the model says what can go."""
    if model is None and hasattr(responder, "open") and not hasattr(responder, "dial"):
        model = responder  # type: ignore[assignment]
    return compressing(responder, budget, method, model=model)


def soft(host: LanguageModel, edge: LanguageModel, path: str) -> LanguageModel:
    """`host`, for which `edge` reads what stands before a prompt's last empty line, as slots in its place;
    `path`: of the compressor that `renga train-soft` makes for the two."""
    return SoftModel(host, _here(edge, "soft"), SoftCompressor.load(Path(path)))


def conditioned(model: LanguageModel, instruction: str) -> LanguageModel:
    """The model with an instruction before every prompt."""
    return Conditioned(model, instruction)


def searching(
    model: LanguageModel,
    judge: Judge | Detector | LanguageModel,
    *,
    k: int = 4,
    beams: int = 1,
    weight: float = 0.5,
    delimiter: str = "\n",
    steps: int = 8,
) -> Searching:
    """Search over steps: of `k` ways to go on the one that `judge` finds best."""
    if isinstance(judge, Detector):
        return search(model, judge, k=k, beams=beams, weight=weight, delimiter=delimiter, steps=steps)
    by: Judge = judge_of(judge, [model])

    def verify(question: str, answer: str) -> float:
        return by.score(Prompt(question), [answer])[0]

    return search(model, verify, k=k, beams=beams, weight=weight, delimiter=delimiter, steps=steps)


def _clearance(public: bool) -> Clearance:
    return Clearance.PUBLIC if public else Clearance.RAW


def _here(model: LanguageModel, who: str) -> LocalModel:
    if not isinstance(model, LocalModel):
        raise UsageError(f"{who} needs a model that is here", hint="the edge model, by name")
    return model


class _Answering:
    """A model as a responder."""

    def __init__(self, model: LanguageModel) -> None:
        self.members = (model,)

    def respond(self, prompt: Prompt, sampling: Sampling):  # type: ignore[no-untyped-def]
        from renga.models.responders import respond_by

        return respond_by(self.members[0], prompt, sampling)


def _responder(given: Responder | LanguageModel) -> Responder:
    return given if hasattr(given, "respond") else _Answering(given)  # type: ignore[return-value]
