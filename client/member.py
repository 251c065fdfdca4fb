"""A member of a federation: what a client does in each step of a round.

Messages in, messages out; it knows neither Flower nor sockets. `server/round.py` tells the other half.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from renga.client.state import ClientState
from renga.client.witness import Witness
from renga.errors import RefusedPayload, RengaError, UsageError
from renga.models.adapter import Adapter, Factors, checked
from renga.models.alignment import Crosswalk, align_many
from renga.models.carried import from_wire, to_wire
from renga.models.contract import Sampling
from renga.models.example import Example
from renga.models.generate import answer_many
from renga.models.knowledge import Rows
from renga.models.local import LocalModel
from renga.models.scoring import bits_per_byte, encode_texts, rows_of
from renga.models.seeds import derived
from renga.models.training import Learned, Learning, Lesson, learn
from renga.models.weights import SharedWeights
from renga.protocol.messages import (
    AnswerReply,
    AnswerRequest,
    Description,
    ExchangeReply,
    ExchangeRequest,
    JudgeReply,
    JudgeRequest,
    LearnReply,
    LearnRequest,
)

# who, phase, step, steps, loss, tokens of the step
OnProgress = Callable[[str, str, int, int, float | None, int], None]


@dataclass(frozen=True)
class MemberSettings:
    """What a client's owner decides."""

    name: str
    rank: int
    alpha: float
    modules: str
    rate: float
    tokens: int
    transfer_tokens: int
    transfer_rate: (
        float  # share of `rate` in the transfer step, which must not wash out what was learned before
    )
    batch: int
    replay: float
    # Share by which the client's own held-out text may be worse after that step; then it is undone.
    transfer_tolerance: float
    coding: str
    weight: float = 0.0


@dataclass(frozen=True)
class Member:
    """A client: its settings, its texts, its model and its state.

    `validation` is private text that is never trained on: merged adapters are judged on it. `transfer` is the
    public set that all sides hold. `vocabulary_of` gives the vocabulary of a model reference (the host's).
    """

    settings: MemberSettings
    private: Sequence[Example]
    validation: Sequence[Example]
    transfer: Sequence[Example]
    transfer_fingerprint: str
    weights: SharedWeights
    state: ClientState
    crosswalk_of: Callable[[str], Crosswalk]
    on_progress: OnProgress | None = None
    witness: Witness | None = None
    _known: dict[str | None, float] = field(default_factory=dict)  # losses on `validation`, by adapter

    def describe(self) -> Description:
        """What a round must know of this client."""
        settings, weights = self.settings, self.weights
        return Description(
            name=settings.name,
            model=weights.reference,
            base=weights.fingerprint,
            vocabulary=weights.vocabulary.fingerprint,
            vocabulary_size=weights.vocabulary.size,
            rank=settings.rank,
            alpha=settings.alpha,
            texts=len(self.private),
            weight=settings.weight,
            transfer=self.transfer_fingerprint,
            shapes=weights.adapted_shapes(settings.modules),
        )

    def learn(self, request: LearnRequest) -> LearnReply:
        """Train on private text; freeze that; say losses, answers and which of the host's rows are wanted."""
        turn = (request.round, request.attempt)
        cohort = self._cohort_adapter(request)
        start = self._start(request, cohort)
        learned = self._train_privately(start, request)
        self.state.save(turn, "snapshot", learned.adapter)
        if cohort is not None:
            self.state.save(turn, "cohort", cohort)

        model = LocalModel(self.weights, learned.adapter)
        texts = [self._public(i) for i in request.texts]
        losses = bits_per_byte(model, texts, tick=self._tick("scoring")).astype(np.float32)
        training = {"private_loss": _rounded(learned.losses), "private_tokens": learned.tokens}
        return LearnReply(losses, self._wants(request, losses), training)

    def answer(self, request: AnswerRequest) -> AnswerReply:
        """Answer bare prompts, greedily, by the frozen model; what it is not sure of, or can't read whole, it
        does not say.

        The share of samples at temperature 1 that would give the very same answer has an exact expectation,
        the answer's own probability; so nothing is sampled.
        """
        model = LocalModel(self.weights, self.state.load((request.round, request.attempt), "snapshot"))
        questions = [i for i in request.questions if self.weights.reads(self._public(i).prompt)]
        prompts = [self._public(i).prompt for i in questions]
        sampling = Sampling(max_tokens=request.answer_tokens)
        found = answer_many(model, prompts, sampling, tick=self._tick("answering"))
        # The same text, cut into tokens as a reader would, may be a little more probable than as it was said.
        told = [
            (int(i), answer.text.strip())
            for i, answer in zip(questions, found, strict=True)
            if answer.text.strip() and answer.probability >= request.agreement / 2
        ]
        rows = self._rows(model, [self._public(*answer) for answer in told], request)
        sure = [pair for pair in zip(told, rows, strict=True) if pair[1].probability >= request.agreement]
        return AnswerReply(
            self.weights.vocabulary.size, [answer for answer, _ in sure], [said for _, said in sure]
        )

    def exchange(self, request: ExchangeRequest) -> ExchangeReply:
        """Say the frozen rows of the texts asked for; learn what others know better; give the adapter."""
        turn = (request.round, request.attempt)
        snapshot = self.state.load(turn, "snapshot")
        asked = [self._public(i) for i in request.asked]
        rows = self._rows(LocalModel(self.weights, snapshot), asked, request)
        learned = self._learn_from_others(snapshot, request)
        kept, adapter = self._bearable(snapshot, learned.adapter) if learned.losses else (1.0, snapshot)
        provenance = {"who": self.settings.name, "round": str(request.round)}
        own_adapter = replace(adapter, provenance=provenance)
        self.state.save(turn, "own", own_adapter)
        training = {"transfer_loss": _rounded(learned.losses), "transfer_tokens": learned.tokens}
        training["transfer_kept"] = kept
        return ExchangeReply(
            vocabulary_size=self.weights.vocabulary.size,
            rows=rows,
            adapter=to_wire(own_adapter),
            coding=self.settings.coding,
            training=training,
        )

    def judge(self, request: JudgeRequest) -> JudgeReply:
        """Compare the merged adapter with the cohort's last one, and keep it if it beats the client's own."""
        turn = (request.round, request.attempt)
        if self.witness is not None:
            self.witness.note("judge", turn, request.adapter)
        merged = self._checked(from_wire(request.adapter))
        own = self.state.load(turn, "own")
        before = self.state.load(turn, "cohort") if self.state.has(turn, "cohort") else None
        after_loss, own_loss = self._loss(merged), self._loss(own)
        kept = "merged" if after_loss < own_loss else "own"
        self.state.save(turn, "merged", merged)
        self.state.save(turn, "kept", merged if kept == "merged" else own)
        return JudgeReply(self._loss(before), after_loss, len(self.validation), kept)

    def _cohort_adapter(self, request: LearnRequest) -> Adapter | None:
        if self.witness is not None:
            self.witness.vouch(request.since)
            self.witness.vouch(request.adopted)
        if request.adopted is None:
            return None
        if request.adapter is not None:
            if self.witness is not None:
                self.witness.note("learn", (request.round, request.attempt), request.adapter)
            self.state.save(request.adopted, "merged", self._checked(from_wire(request.adapter)))
        return self.state.load(request.adopted, "merged")

    def _start(self, request: LearnRequest, cohort: Adapter | None) -> Adapter:
        self.state.forget(
            {t for t in (request.since, request.adopted, (request.round, request.attempt)) if t}
        )
        if request.since is not None:
            return self.state.load(request.since, "kept")
        if cohort is not None:
            return cohort
        settings = self.settings
        # The whole cohort draws the same first factors, so that their first updates can be averaged well.
        return self.weights.fresh_adapter(
            settings.rank,
            settings.alpha,
            settings.modules,
            derived(request.seed, "first", self.weights.fingerprint),
        )

    def _train_privately(self, start: Adapter, request: LearnRequest) -> Learned:
        settings = self.settings
        lessons = [Lesson(text) for text in encode_texts(self.weights, self.private)]
        shortest = min(lesson.text.length for lesson in lessons)
        if settings.tokens < shortest:
            raise RengaError(
                f"{settings.tokens} training tokens pay for no text: the shortest has {shortest}",
                hint="raise edge.tokens",
            )
        how = Learning(
            rate=settings.rate,
            tokens=settings.tokens,
            batch=settings.batch,
            seed=derived(request.seed, settings.name, "private", request.round),
        )
        return _converged(learn(self.weights, start, lessons, how, self.step_reporter("private")))

    def _wants(self, request: LearnRequest, losses: np.ndarray) -> np.ndarray:
        """Texts where the host is better, the largest gap first: as many as the budget bears with replay."""
        gaps = losses - request.host_losses
        order = sorted(np.flatnonzero(gaps > 0), key=lambda i: (-gaps[i], i))
        texts = encode_texts(self.weights, [self._public(request.texts[i]) for i in order])
        budget = self.settings.transfer_tokens * (1 - self.settings.replay)
        affordable = np.cumsum([text.length for text in texts]) <= budget
        return np.array(
            [request.texts[i] for i, fits in zip(order, affordable, strict=True) if fits], np.int32
        )

    def _rows(
        self, model: LocalModel, texts: Sequence[Example], request: AnswerRequest | ExchangeRequest
    ) -> list[Rows]:
        return rows_of(model, texts, top_k=request.top_k, floor=request.floor, tick=self._tick("scoring"))

    def _bearable(self, before: Adapter, after: Adapter) -> tuple[float, Adapter]:
        """As much of the step from `before` to `after` as the client's own text bears: all, half or nothing.

        Half way between two models that lie close together much of what either knows is kept (Wortsman et
        al., arXiv:2109.01903). The share of the step is given with the adapter.
        """
        bound = self._loss(before) * (1 + self.settings.transfer_tolerance)
        halfway = _halfway(before, after)
        for share, adapter in ((1.0, after), (0.5, halfway)):
            if self._loss(adapter) <= bound:
                return share, adapter
        return 0.0, before

    def _learn_from_others(self, start: Adapter, request: ExchangeRequest) -> Learned:
        """Lessons of the host (its rows) and of other clients (their answers), among private texts.

        The private texts are there so that what was learned from others does not wash out one's own.
        """
        settings = self.settings
        texts = encode_texts(self.weights, [self._public(i) for i in request.given])
        rows = [Rows.of(r) for r in request.rows]
        crosswalk = self.crosswalk_of(request.host)
        for row, place in zip(rows, request.given, strict=True):
            response = (self._public(place).response or "").encode()
            row.check(crosswalk.teacher.size, len(response), (crosswalk.teacher, response))
        targets = align_many(rows, crosswalk, [text.response for text in texts])
        lessons = [Lesson(text, target) for text, target in zip(texts, targets, strict=True)]
        answered = [self._public(a.text, a.answer) for a in request.settled]
        lessons += [
            Lesson(text, weight=answer.weight)
            for text, answer in zip(encode_texts(self.weights, answered), request.settled, strict=True)
        ]
        seed = derived(request.seed, settings.name, "transfer", request.round)
        lessons = self._with_replay(lessons, seed)
        how = Learning(
            rate=settings.rate * settings.transfer_rate,
            tokens=settings.transfer_tokens,
            batch=settings.batch,
            distillation=request.distillation,
            temperature=request.temperature,
            seed=seed,
        )
        return _converged(learn(self.weights, start, lessons, how, self.step_reporter("transfer")))

    def _with_replay(self, lessons: list[Lesson], seed: int) -> list[Lesson]:
        if not lessons or self.settings.replay <= 0:
            return lessons
        count = round(len(lessons) * self.settings.replay / (1 - self.settings.replay))
        chosen = np.random.default_rng(seed).permutation(len(self.private))[:count]
        return lessons + [
            Lesson(text) for text in encode_texts(self.weights, [self.private[i] for i in chosen])
        ]

    def _loss(self, adapter: Adapter | None) -> float:
        """Bits per byte on the client's own validation text, over all its bytes. Measured once an adapter."""
        key = None if adapter is None else adapter.digest
        if key not in self._known:
            self._known[key] = self._measured_loss(adapter)
        return self._known[key]

    def _measured_loss(self, adapter: Adapter | None) -> float:
        losses = bits_per_byte(LocalModel(self.weights, adapter), self.validation, tick=self._tick("scoring"))
        sizes = [len((example.response or "").encode()) for example in self.validation]
        return float(np.average(losses, weights=sizes)) if len(losses) else 0.0

    def _checked(self, adapter: Adapter) -> Adapter:
        shapes = self.weights.adapted_shapes(self.settings.modules)
        return checked(adapter, shapes, self.weights.fingerprint, max_rank=self.settings.rank)

    def _public(self, place: int, answer: str | None = None) -> Example:
        if not 0 <= place < len(self.transfer):
            raise RefusedPayload(f"text {place} is not in the transfer set of {len(self.transfer)} texts")
        example = self.transfer[place]
        return example if answer is None else replace(example, response=answer)

    def step_reporter(self, phase: str) -> Callable[[int, int, float, int], None] | None:
        """What a learning loop should call after each step, None where nobody listens."""
        report, name = self.on_progress, self.settings.name
        if report is None:
            return None
        return lambda step, steps, loss, tokens: report(name, phase, step, steps, loss, tokens)

    def _tick(self, phase: str) -> Callable[[int, int], None] | None:
        report, name = self.on_progress, self.settings.name
        if report is None:
            return None
        return lambda done, total: report(name, phase, done, total, None, 0)


def state_of(folder: Path, name: str) -> ClientState:
    """The state of the client `name` under `folder`. Raises UsageError if the folder can't be made."""
    try:
        (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"can't write the state of {name} in {folder}: {error.strerror}") from error
    return ClientState(folder / name)


def _converged(learned: Learned) -> Learned:
    """Raises RengaError when learning has blown up."""
    if not all(map(math.isfinite, learned.losses)):
        raise RengaError("learning diverged: the loss is no longer a number", hint="lower learning_rate")
    return learned


def _halfway(x: Adapter, y: Adapter) -> Adapter:
    """The mean of the factors of two adapters of the same shape, the second trained on from the first."""
    half = np.float32(0.5)
    factors = {
        path: Factors(half * (x.factors[path].a + f.a), half * (x.factors[path].b + f.b))
        for path, f in y.factors.items()
    }
    return replace(y, factors=factors)


def _rounded(losses: Sequence[float]) -> list[float]:
    return [round(loss, 4) for loss in losses]
