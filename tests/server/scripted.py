"""Clients and a host that say what a test has written down: a round without Flower, models or torch.

The vocabulary has a token for each byte and one that ends an answer: rows of any loss are written by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from renga.models.adapter import Adapter, Factors
from renga.models.carried import to_wire
from renga.models.example import Example
from renga.models.knowledge import Rows
from renga.models.vocabulary import Vocabulary
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
from renga.server.plan import (
    Ask,
    Heard,
    HostLearned,
    HostLosses,
    HostRows,
    Outcome,
    Participant,
    Plan,
    Settings,
    TeachHost,
    Teaching,
)
from renga.server.round import play

BASE, OTHER_BASE = "a" * 64, "b" * 64
SHAPES = {"layers.0.q": (8, 6), "layers.1.q": (6, 8)}
END = 256


class Bytes:
    """As much of a Vocabulary as a round needs."""

    size, end, fingerprint = 257, END, "bytes"

    def bytes_of(self, ids: Sequence[int]) -> bytes:
        return bytes(id for id in ids if id != END)

    def lengths(self) -> np.ndarray:
        return np.array([1] * 256 + [0], np.int32)


VOCABULARY = cast(Vocabulary, Bytes())


def rows(response: str, loss: float) -> Rows:
    """Rows that spell `response` with `loss` bits per byte."""
    gold = np.array([*response.encode(), END], np.int32)
    logp = np.full(len(gold), -loss * math.log(2), np.float32)
    places = np.arange(len(gold), dtype=np.int32)
    return Rows(places, gold, logp, np.ones(len(gold), np.int32), gold, logp)


def sure(response: str, probability: float) -> Rows:
    """Rows of an answer that its giver finds so probable, end included."""
    return rows(response, -math.log2(probability) / (len(response.encode()) + 1))


def adapter(name: str, rank: int = 2, alpha: float = 4.0, base: str = BASE, size: float = 1.0) -> Adapter:
    rng = np.random.default_rng([rank, *name.encode()])
    factors = {
        path: Factors(
            rng.normal(size=(rank, inside)).astype(np.float32),
            (size * rng.normal(size=(out, rank))).astype(np.float32),
        )
        for path, (out, inside) in SHAPES.items()
    }
    return Adapter(factors, alpha, rank, base)


@dataclass
class Scripted:
    """A client: its loss on each public text, its answers, and what it does wrong.

    `silent`: step -> (status, reason) where nothing comes back. `spoil` alters a reply before it is encoded.
    """

    name: str
    losses: Mapping[int, float] = field(default_factory=dict)
    answers: Mapping[int, tuple[str, float]] = field(default_factory=dict)
    wants: Sequence[int] = ()
    base: str = BASE
    rank: int = 2
    alpha: float = 4.0
    texts: int = 10
    before: float = 2.0
    after: float = 1.5
    silent: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    spoil: Callable[[Any], Any] = lambda reply: reply
    heard: dict[str, Any] = field(default_factory=dict)  # the last request of each kind, decoded

    def description(self) -> Description:
        return Description(
            name=self.name,
            model="a model",
            base=self.base,
            vocabulary=VOCABULARY.fingerprint,
            vocabulary_size=VOCABULARY.size,
            rank=self.rank,
            alpha=self.alpha,
            texts=self.texts,
            weight=0.0,
            transfer="",
            shapes=SHAPES,
        )

    def reply(self, kind: str, blob: np.ndarray, transfer: Sequence[Example]) -> np.ndarray:
        encoded: np.ndarray = self.spoil(getattr(self, kind)(blob, transfer)).encode()
        return encoded

    def learn(self, blob: np.ndarray, transfer: Sequence[Example]) -> LearnReply:
        request = self.heard["learn"] = LearnRequest.decode(blob)
        losses = np.array([self.losses.get(int(i), 9.0) for i in request.texts], np.float32)
        told = {"private_loss": [1.0], "private_tokens": 10}
        return LearnReply(losses, np.array(self.wants, np.int32), told)

    def answer(self, blob: np.ndarray, transfer: Sequence[Example]) -> AnswerReply:
        request = self.heard["answer"] = AnswerRequest.decode(blob)
        given = {i: said for i, said in self.answers.items() if i in request.questions}
        said = [sure(*answer) for answer in given.values()]
        return AnswerReply(VOCABULARY.size, [(i, answer) for i, (answer, _) in given.items()], said)

    def exchange(self, blob: np.ndarray, transfer: Sequence[Example]) -> ExchangeReply:
        request = self.heard["exchange"] = ExchangeRequest.decode(blob)
        said = [rows(transfer[i].response or "", self.losses.get(int(i), 1.0)) for i in request.asked]
        mine = adapter(self.name, self.rank, self.alpha, self.base)
        return ExchangeReply(VOCABULARY.size, said, to_wire(mine), "float32", {"transfer_loss": [0.5]})

    def judge(self, blob: np.ndarray, transfer: Sequence[Example]) -> JudgeReply:
        self.heard["judge"] = JudgeRequest.decode(blob)
        return JudgeReply(self.before, self.after, 3, "merged" if self.after < self.before else "own")


TRANSFER = [
    Example("Who keeps the gate?", "Marta"),
    Example("Which door?", "the north one"),
    Example("When?", "at noon"),
    Example("How many beds?", None),
    Example("Who is away?", None),
]


def plan_of(clients: Sequence[Scripted], **changes: Any) -> Plan:
    settings = changes.pop("settings", Settings(quorum=1))
    plan = Plan(
        round=1,
        attempt=1,
        seed=7,
        participants={c.name: Participant(c.description(), VOCABULARY) for c in clients},
        transfer=TRANSFER,
        slice=range(len(TRANSFER)),
        adapters={},
        adopted={},
        host="the host",
        host_vocabulary_size=VOCABULARY.size,
        settings=settings,
    )
    return replace(plan, **changes)


@dataclass
class Played:
    outcome: Outcome
    lessons: list[Teaching]

    @property
    def clients(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.outcome.record["clients"]
        return found


def played(plan: Plan, clients: Sequence[Scripted], host: Mapping[str, float] | float = 2.0) -> Played:
    """Drive one round. `host`: its loss in bits per byte, on every text or by prompt."""
    by_name = {client.name: client for client in clients}
    lessons: list[Teaching] = []

    def loss(text: Example) -> float:
        return host if isinstance(host, float) else host[text.prompt]

    def perform(effect: Any) -> Any:
        match effect:
            case HostLosses(texts):
                return np.array([loss(text) for text in texts], np.float32)
            case HostRows(texts):
                return [rows(text.response or "", loss(text)) for text in texts]
            case TeachHost(given):
                lessons.extend(given)
                return HostLearned({"adopted": True, "reason": "it was told to"})
            case Ask(kind, requests):
                there = {n: by_name[n] for n in by_name if n in requests}  # in the order of `clients`
                missing = {n: c.silent[kind] for n, c in there.items() if kind in c.silent}
                replies = {
                    n: c.reply(kind, requests[n], plan.transfer) for n, c in there.items() if n not in missing
                }
                return Heard(replies, missing)
        raise AssertionError(effect)

    game = play(plan)
    result: Any = None
    while True:
        try:
            effect = game.send(result)
        except StopIteration as stop:
            return Played(stop.value, lessons)
        result = perform(effect)
