"""The messages of a round, in both directions, and their wire form.

A message is a frozen dataclass; on the wire it is one packed uint8 array (arrays plus a little JSON), carried
in the record "payload" of a Flower message. Decoding checks everything it can without a model: names, types,
shapes, finiteness, sizes. What needs a model (a claimed loss, an adapter's layers) is checked by who has it.

| message        | direction        | what it reveals                                                        |
|----------------|------------------|------------------------------------------------------------------------|
| Description    | client -> server | model, rank, number of private texts                                   |
| LearnRequest   | server -> client | the cohort's adapter, the host's losses on public texts                |
| LearnReply     | client -> server | the client's losses on public texts                                    |
| AnswerRequest  | server -> client | public questions that this client may know best                        |
| AnswerReply    | client -> server | its answers to those it is sure of, with its rows                      |
| ExchangeRequest| server -> client | the host's rows of texts the client wanted, answers of other clients   |
| ExchangeReply  | client -> server | the client's rows of texts it knows best, its adapter                  |
| JudgeRequest   | server -> client | the merged adapter, before it is adopted                               |
| JudgeReply     | client -> server | how well that adapter does on the client's own held-out text           |
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from renga.errors import RefusedPayload
from renga.protocol.adapter_codec import DecodedAdapter
from renga.protocol.knowledge_codec import RowsLike, encode_rows
from renga.protocol.message_parts import (
    LIMIT_BYTES,
    LOSS_LIMIT,
    Arrays,
    Floats,
    Ints,
    adapter_of,
    answers_of,
    checking,
    losses_of,
    padded,
    places,
    rows_of,
    seal,
    shapes_of,
    training_of,
    turn_of,
    turn_said,
    unsealed,
    whole,
    with_adapter,
    with_answers,
    within,
)
from renga.protocol.packing import unpack


@runtime_checkable
class Message(Protocol):
    """What all messages offer."""

    kind: ClassVar[str]

    def encode(self) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class SettledAnswer:
    """An answer that stands for a bare prompt this round, and how sure the one who gave it was."""

    text: int
    answer: str
    weight: float


@dataclass(frozen=True)
class Description:
    """Who a client is, as far as a round must know."""

    kind: ClassVar[str] = "description"
    name: str
    model: str
    base: str
    vocabulary: str
    vocabulary_size: int
    rank: int
    alpha: float
    texts: int
    weight: float
    transfer: str
    shapes: Mapping[str, tuple[int, int]]

    def encode(self) -> NDArray[np.uint8]:
        meta = {key: getattr(self, key) for key in self.__dataclass_fields__ if key != "shapes"}
        shapes = {path: list(shape) for path, shape in self.shapes.items()}
        return seal(self.kind, {}, {**meta, "shapes": shapes})

    @classmethod
    def decode(cls, blob: NDArray[np.uint8]) -> Self:
        _, meta = unsealed(blob, cls)
        with checking(cls.kind):
            rank, shapes, texts = whole(meta["rank"]), shapes_of(meta["shapes"]), whole(meta["texts"])
            if not 1 <= rank <= min(min(shape) for shape in shapes.values()):
                raise RefusedPayload(f"rank {rank} does not fit the layers described")
            if texts == 0:
                raise RefusedPayload("it has no texts to learn from")
            if not re.fullmatch("[0-9a-f]{64}", meta["base"]):  # it names files of the server's state
                raise RefusedPayload("the base fingerprint is not a sha256")
            return cls(
                name=str(meta["name"]),
                model=str(meta["model"]),
                base=meta["base"],
                vocabulary=str(meta["vocabulary"]),
                vocabulary_size=whole(meta["vocabulary_size"]),
                rank=rank,
                alpha=within(meta["alpha"], 1e-6, 1e6),
                texts=texts,
                weight=within(meta["weight"], 0.0, 1e9),
                transfer=str(meta["transfer"]),
                shapes=shapes,
            )


@dataclass(frozen=True)
class LearnRequest:
    """Start of a round. Texts are places in the transfer set that both sides hold.

    Rounds are named by (number, attempt). `since` is the last one this client took part in to its end: it
    goes on from what it kept then. `adopted` is the one whose merged adapter is now the cohort's; `adapter`
    is that adapter, sent only to a client that does not have it.
    """

    kind: ClassVar[str] = "learn"
    round: int
    attempt: int
    seed: int
    since: tuple[int, int] | None
    adopted: tuple[int, int] | None
    host: str
    texts: Ints
    host_losses: Floats  # [texts], bits per byte
    adapter: DecodedAdapter | None = None

    def encode(self) -> NDArray[np.uint8]:
        arrays, meta = with_adapter(self.adapter, "float32")
        arrays |= {"texts": self.texts, "host_losses": self.host_losses}
        meta |= {key: getattr(self, key) for key in ("round", "seed", "host")}
        meta |= {"since": turn_said(self.since), "adopted": turn_said(self.adopted)}
        meta["attempt"] = padded(self.attempt)
        return seal(self.kind, arrays, meta)

    @classmethod
    def decode(cls, blob: NDArray[np.uint8]) -> Self:
        arrays, meta = unsealed(blob, cls)
        with checking(cls.kind):
            texts = places(arrays["texts"])
            return cls(
                round=whole(meta["round"]),
                attempt=int(meta["attempt"]),
                seed=int(meta["seed"]),
                since=turn_of(meta["since"]),
                adopted=turn_of(meta["adopted"]),
                host=str(meta["host"]),
                texts=texts,
                host_losses=losses_of(arrays["host_losses"], len(texts)),
                adapter=adapter_of(arrays, meta),
            )


@dataclass(frozen=True)
class LearnReply:
    """What a client says after training on its own texts: its losses, and which rows it wants."""

    kind: ClassVar[str] = "learned"
    losses: Floats  # [texts asked about], bits per byte
    wants: Ints
    training: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> NDArray[np.uint8]:
        arrays = {"losses": self.losses, "wants": self.wants}
        return seal(self.kind, arrays, {"training": dict(self.training)})

    @classmethod
    def decode(cls, blob: NDArray[np.uint8], *, texts: int) -> Self:
        arrays, meta = unsealed(blob, cls)
        with checking(cls.kind):
            losses, wants = losses_of(arrays["losses"], texts), places(arrays["wants"])
            return cls(losses, wants, training_of(meta["training"]))


@dataclass(frozen=True)
class AnswerRequest:
    """Bare prompts, by their places in the transfer set, that the client is to answer if it can.

    An answer that its client finds less probable than `agreement`, end included, need not be given.
    """

    kind: ClassVar[str] = "answer"
    round: int
    attempt: int
    questions: Ints
    answer_tokens: int
    agreement: float
    top_k: int = 16
    floor: float = 1e-4

    def encode(self) -> NDArray[np.uint8]:
        meta = {key: getattr(self, key) for key in ("round", "answer_tokens", "agreement", "top_k", "floor")}
        return seal(self.kind, {"questions": self.questions}, {**meta, "attempt": padded(self.attempt)})

    @classmethod
    def decode(cls, blob: NDArray[np.uint8]) -> Self:
        arrays, meta = unsealed(blob, cls)
        with checking(cls.kind):
            return cls(
                round=whole(meta["round"]),
                attempt=int(meta["attempt"]),
                questions=places(arrays["questions"]),
                answer_tokens=whole(meta["answer_tokens"]),
                agreement=within(meta["agreement"], 0.0, 1.0),
                top_k=max(1, whole(meta["top_k"])),
                floor=within(meta["floor"], 0.0, 1.0),
            )


@dataclass(frozen=True)
class AnswerReply:
    """Answers to some of the questions, each with its rows, which say how probable its giver finds it."""

    kind: ClassVar[str] = "answered"
    vocabulary_size: int
    answers: Sequence[tuple[int, str]]  # (text, answer), no text twice
    rows: Sequence[RowsLike]

    def encode(self) -> NDArray[np.uint8]:
        arrays = {f"rows/{key}": a for key, a in encode_rows(self.rows, self.vocabulary_size).items()}
        return seal(self.kind, {**arrays, **with_answers("answers", self.answers)}, {})

    @classmethod
    def decode(cls, blob: NDArray[np.uint8], *, vocabulary_size: int) -> Self:
        arrays, _ = unsealed(blob, cls)
        with checking(cls.kind):
            answers = answers_of("answers", arrays)
            return cls(vocabulary_size, answers, rows_of(arrays, vocabulary_size, len(answers)))


@dataclass(frozen=True)
class ExchangeRequest:
    """The middle of a round: rows the client wanted, rows wanted of it, answers that others gave."""

    kind: ClassVar[str] = "exchange"
    round: int
    attempt: int
    seed: int
    vocabulary_size: int  # the host's
    host: str
    given: Ints  # texts that `rows` are about, in order
    rows: Sequence[RowsLike]
    asked: Ints
    settled: Sequence[SettledAnswer] = ()
    top_k: int = 16
    floor: float = 1e-4
    distillation: float = 0.5
    temperature: float = 1.0

    def encode(self) -> NDArray[np.uint8]:
        arrays = {f"rows/{key}": a for key, a in encode_rows(self.rows, self.vocabulary_size).items()}
        arrays |= {"given": self.given, "asked": self.asked}
        meta: dict[str, Any] = {
            key: getattr(self, key) for key in ("round", "seed", "vocabulary_size", "host", "top_k", "floor")
        }
        meta |= {"distillation": self.distillation, "temperature": self.temperature}
        meta["attempt"] = padded(self.attempt)
        arrays |= with_answers("settled", [(a.text, a.answer) for a in self.settled])
        arrays["settled/sure"] = np.array([a.weight for a in self.settled], np.float32)
        return seal(self.kind, arrays, meta)

    @classmethod
    def decode(cls, blob: NDArray[np.uint8]) -> Self:
        arrays, meta = unsealed(blob, cls)
        with checking(cls.kind):
            given = places(arrays["given"])
            size = whole(meta["vocabulary_size"])
            return cls(
                round=whole(meta["round"]),
                attempt=int(meta["attempt"]),
                seed=int(meta["seed"]),
                vocabulary_size=size,
                host=str(meta["host"]),
                given=given,
                rows=rows_of(arrays, size, len(given)),
                asked=places(arrays["asked"]),
                settled=_settled(arrays),
                top_k=max(1, whole(meta["top_k"])),
                floor=within(meta["floor"], 0.0, 1.0),
                distillation=within(meta["distillation"], 0.0, 1.0),
                temperature=within(meta["temperature"], 1e-3, 1e3),
            )


@dataclass(frozen=True)
class ExchangeReply:
    """What a client gives: its rows of the texts asked for, from before it trained on any; its adapter."""

    kind: ClassVar[str] = "exchanged"
    vocabulary_size: int
    rows: Sequence[RowsLike]
    adapter: DecodedAdapter
    coding: str = "blocks8"
    training: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> NDArray[np.uint8]:
        arrays, meta = with_adapter(self.adapter, self.coding)
        arrays |= {f"rows/{key}": a for key, a in encode_rows(self.rows, self.vocabulary_size).items()}
        return seal(self.kind, arrays, {**meta, "coding": self.coding, "training": dict(self.training)})

    @classmethod
    def decode(cls, blob: NDArray[np.uint8], *, vocabulary_size: int, texts: int) -> Self:
        arrays, meta = unsealed(blob, cls)
        with checking(cls.kind):
            adapter = adapter_of(arrays, meta)
            if adapter is None:
                raise RefusedPayload("no adapter in the reply")
            return cls(
                vocabulary_size=vocabulary_size,
                rows=rows_of(arrays, vocabulary_size, texts),
                adapter=adapter,
                coding=str(meta["coding"]),
                training=training_of(meta["training"]),
            )


@dataclass(frozen=True)
class JudgeRequest:
    """The cohort's merged adapter at the client's rank, to be judged on the client's held-out text."""

    kind: ClassVar[str] = "judge"
    round: int
    attempt: int
    adapter: DecodedAdapter
    coding: str = "blocks8"

    def encode(self) -> NDArray[np.uint8]:
        arrays, meta = with_adapter(self.adapter, self.coding)
        return seal(self.kind, arrays, {**meta, "round": self.round, "attempt": padded(self.attempt)})

    @classmethod
    def decode(cls, blob: NDArray[np.uint8]) -> Self:
        arrays, meta = unsealed(blob, cls)
        with checking(cls.kind):
            adapter = adapter_of(arrays, meta)
            if adapter is None:
                raise RefusedPayload("no adapter to judge")
            return cls(whole(meta["round"]), int(meta["attempt"]), adapter, meta["adapter"]["coding"])


@dataclass(frozen=True)
class JudgeReply:
    """Bits per byte on a client's own held-out text: of the adapter a round began with, and of the merged."""

    kind: ClassVar[str] = "judged"
    before: float
    after: float
    texts: int
    kept: str  # "own" | "merged": what the client goes on with

    def encode(self) -> NDArray[np.uint8]:
        meta = {"before": self.before, "after": self.after, "texts": self.texts, "kept": self.kept}
        return seal(self.kind, {}, meta)

    @classmethod
    def decode(cls, blob: NDArray[np.uint8]) -> Self:
        _, meta = unsealed(blob, cls)
        with checking(cls.kind):
            before, after = (within(meta[key], 0.0, LOSS_LIMIT) for key in ("before", "after"))
            if meta["kept"] not in ("own", "merged"):
                raise RefusedPayload("it keeps neither its own adapter nor the merged one")
            return cls(before, after, whole(meta["texts"]), meta["kept"])


def sizes(blob: NDArray[np.uint8]) -> dict[str, int]:
    """Bytes of a message by what they are: adapter, rows, losses, answers and texts, the rest as "other"."""
    arrays, _ = unpack(blob, limit_bytes=LIMIT_BYTES)
    result = {"adapter": 0, "rows": 0, "losses": 0, "answers": 0}
    for name, array in arrays.items():
        part = name.partition("/")[0]
        part = {"host_losses": "losses", "settled": "answers"}.get(part, part)
        if part in result:
            result[part] += array.nbytes
    result["other"] = int(blob.nbytes) - sum(result.values())
    return {key: value for key, value in result.items() if value}


def _settled(arrays: Arrays) -> list[SettledAnswer]:
    given = answers_of("settled", {name: a for name, a in arrays.items() if name != "settled/sure"})
    sure = arrays["settled/sure"]
    if sure.dtype != np.float32 or sure.shape != (len(given),) or not ((sure >= 0) & (sure <= 1)).all():
        raise RefusedPayload("how sure an answer is, is not a share between 0 and 1")
    return [SettledAnswer(*answer, float(weight)) for answer, weight in zip(given, sure, strict=True)]
