"""The messages of a round, in both directions, and their wire form.

A message is a frozen dataclass; on the wire it is one packed uint8 array (arrays plus a little JSON), carried
in the record "payload" of a Flower message. Decoding checks everything it can without a model: names, types,
shapes, finiteness, sizes. What needs a model (a claimed loss, an adapter's layers) is checked by who has it.

| message        | direction        | what it reveals                                                        |
|----------------|------------------|------------------------------------------------------------------------|
| Description    | client -> server | model, rank, number of private texts                                   |
| LearnRequest   | server -> client | the cohort's adapter, the host's losses on public texts                 |
| LearnReply     | client -> server | the client's losses on public texts, its answers to public questions    |
| ExchangeRequest| server -> client | the host's rows of texts the client asked for, answers of other clients |
| ExchangeReply  | client -> server | the client's rows of texts it knows best, its adapter                   |
| JudgeRequest   | server -> client | the merged adapter, before it is adopted                                |
| JudgeReply     | client -> server | how well that adapter does on the client's own held-out text            |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from renga.errors import RefusedPayload
from renga.protocol.adapter_codec import DecodedAdapter, decode_adapter, encode_adapter
from renga.protocol.knowledge_codec import RowArrays, RowsLike, decode_rows, encode_rows
from renga.protocol.packing import pack, unpack

# Nothing of ours is near this; what is larger is not of ours.
LIMIT_BYTES = 1 << 30
ANSWER_LIMIT_BYTES = 4096

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]]


@runtime_checkable
class Message(Protocol):
    """What all messages offer."""

    kind: ClassVar[str]

    def encode(self) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class GivenAnswer:
    """An answer to the bare prompt `text` of the transfer set. `agreement` in [0, 1]: how probable its giver finds it."""

    text: int
    answer: str
    agreement: float


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
        return _seal(self.kind, {}, {**meta, "shapes": shapes})

    @classmethod
    def decode(cls, blob: NDArray[np.uint8]) -> Self:
        _, meta = _open(blob, cls.kind)
        with _checking(cls.kind):
            shapes = {str(path): (int(out), int(inside)) for path, (out, inside) in meta["shapes"].items()}
            return cls(
                name=str(meta["name"]),
                model=str(meta["model"]),
                base=str(meta["base"]),
                vocabulary=str(meta["vocabulary"]),
                vocabulary_size=int(meta["vocabulary_size"]),
                rank=int(meta["rank"]),
                alpha=float(meta["alpha"]),
                texts=int(meta["texts"]),
                weight=float(meta["weight"]),
                transfer=str(meta["transfer"]),
                shapes=shapes,
            )


@dataclass(frozen=True)
class LearnRequest:
    """Start of a round. Texts and questions are places in the transfer set that both sides hold.

    Rounds are named by (number, attempt). `since` is the last one this client took part in to its end: it goes
    on from what it kept then. `adopted` is the one whose merged adapter is now the cohort's; `adapter` is that
    adapter, sent only to a client that was not there to judge it.
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
    questions: Ints
    answer_tokens: int
    adapter: DecodedAdapter | None = None

    def encode(self) -> NDArray[np.uint8]:
        arrays, meta = _with_adapter(self.adapter, "float32")
        arrays |= {"texts": self.texts, "host_losses": self.host_losses, "questions": self.questions}
        plain = ("round", "attempt", "seed", "since", "adopted", "host", "answer_tokens")
        return _seal(self.kind, arrays, {**meta, **{key: getattr(self, key) for key in plain}})

    @classmethod
    def decode(cls, blob: NDArray[np.uint8]) -> Self:
        arrays, meta = _open(blob, cls.kind)
        with _checking(cls.kind):
            texts = _ids(arrays["texts"])
            return cls(
                round=int(meta["round"]),
                attempt=int(meta["attempt"]),
                seed=int(meta["seed"]),
                since=_turn(meta["since"]),
                adopted=_turn(meta["adopted"]),
                host=str(meta["host"]),
                texts=texts,
                host_losses=_losses(arrays["host_losses"], len(texts)),
                questions=_ids(arrays["questions"]),
                answer_tokens=int(meta["answer_tokens"]),
                adapter=_adapter_of(arrays, meta),
            )


@dataclass(frozen=True)
class LearnReply:
    """What a client says after training on its own texts: losses, answers, and which rows it wants."""

    kind: ClassVar[str] = "learned"
    losses: Floats  # [texts asked about], bits per byte
    wants: Ints
    answers: Sequence[GivenAnswer] = ()
    training: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> NDArray[np.uint8]:
        answers = [[a.text, a.answer, a.agreement] for a in self.answers]
        meta = {"answers": answers, "training": dict(self.training)}
        return _seal(self.kind, {"losses": self.losses, "wants": self.wants}, meta)

    @classmethod
    def decode(cls, blob: NDArray[np.uint8], *, texts: int) -> Self:
        arrays, meta = _open(blob, cls.kind)
        with _checking(cls.kind):
            answers = [GivenAnswer(int(t), _short(a), _share(s)) for t, a, s in meta["answers"]]
            return cls(
                _losses(arrays["losses"], texts), _ids(arrays["wants"]), answers, dict(meta["training"])
            )


@dataclass(frozen=True)
class ExchangeRequest:
    """The middle of a round: rows the client wanted, rows wanted of it, answers that others gave.

    `asked_answers` hold the client's own answers among `asked`, as settled; the other asked texts have their
    public response.
    """

    kind: ClassVar[str] = "exchange"
    round: int
    attempt: int
    seed: int
    vocabulary_size: int  # the host's
    host: str
    given: Ints  # texts that `rows` are about, in order
    rows: Sequence[RowsLike]
    asked: Ints
    asked_answers: Sequence[SettledAnswer] = ()
    settled: Sequence[SettledAnswer] = ()
    top_k: int = 16
    floor: float = 1e-4
    distillation: float = 0.5
    temperature: float = 1.0

    def encode(self) -> NDArray[np.uint8]:
        arrays = {f"rows/{key}": a for key, a in encode_rows(self.rows, self.vocabulary_size).items()}
        arrays |= {"given": self.given, "asked": self.asked}
        meta: dict[str, Any] = {
            key: getattr(self, key)
            for key in ("round", "attempt", "seed", "vocabulary_size", "host", "top_k", "floor")
        }
        meta |= {"distillation": self.distillation, "temperature": self.temperature}
        return _seal(
            self.kind,
            arrays,
            {**meta, "asked_answers": _listed(self.asked_answers), "settled": _listed(self.settled)},
        )

    @classmethod
    def decode(cls, blob: NDArray[np.uint8]) -> Self:
        arrays, meta = _open(blob, cls.kind)
        with _checking(cls.kind):
            given = _ids(arrays["given"])
            size = int(meta["vocabulary_size"])
            return cls(
                round=int(meta["round"]),
                attempt=int(meta["attempt"]),
                seed=int(meta["seed"]),
                vocabulary_size=size,
                host=str(meta["host"]),
                given=given,
                rows=_rows_of(arrays, size, len(given)),
                asked=_ids(arrays["asked"]),
                asked_answers=_settled_of(meta["asked_answers"]),
                settled=_settled_of(meta["settled"]),
                top_k=int(meta["top_k"]),
                floor=float(meta["floor"]),
                distillation=_share(meta["distillation"]),
                temperature=float(meta["temperature"]),
            )


@dataclass(frozen=True)
class ExchangeReply:
    """What a client gives: its rows of the texts asked for, frozen before any of them was trained on; its adapter."""

    kind: ClassVar[str] = "exchanged"
    vocabulary_size: int
    rows: Sequence[RowsLike]
    adapter: DecodedAdapter
    coding: str = "blocks8"
    training: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> NDArray[np.uint8]:
        arrays, meta = _with_adapter(self.adapter, self.coding)
        arrays |= {f"rows/{key}": a for key, a in encode_rows(self.rows, self.vocabulary_size).items()}
        return _seal(self.kind, arrays, {**meta, "coding": self.coding, "training": dict(self.training)})

    @classmethod
    def decode(cls, blob: NDArray[np.uint8], *, vocabulary_size: int, texts: int) -> Self:
        arrays, meta = _open(blob, cls.kind)
        with _checking(cls.kind):
            adapter = _adapter_of(arrays, meta)
            if adapter is None:
                raise RefusedPayload("no adapter in the reply")
            return cls(
                vocabulary_size=vocabulary_size,
                rows=_rows_of(arrays, vocabulary_size, texts),
                adapter=adapter,
                coding=str(meta["coding"]),
                training=dict(meta["training"]),
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
        arrays, meta = _with_adapter(self.adapter, self.coding)
        return _seal(self.kind, arrays, {**meta, "round": self.round, "attempt": self.attempt})

    @classmethod
    def decode(cls, blob: NDArray[np.uint8]) -> Self:
        arrays, meta = _open(blob, cls.kind)
        with _checking(cls.kind):
            adapter = _adapter_of(arrays, meta)
            if adapter is None:
                raise RefusedPayload("no adapter to judge")
            return cls(int(meta["round"]), int(meta["attempt"]), adapter)


@dataclass(frozen=True)
class JudgeReply:
    """Bits per byte on the client's own held-out text: of the adapter the round began with, and of the merged."""

    kind: ClassVar[str] = "judged"
    before: float
    after: float
    texts: int
    kept: str  # "own" | "merged": what the client goes on with

    def encode(self) -> NDArray[np.uint8]:
        meta = {"before": self.before, "after": self.after, "texts": self.texts, "kept": self.kept}
        return _seal(self.kind, {}, meta)

    @classmethod
    def decode(cls, blob: NDArray[np.uint8]) -> Self:
        _, meta = _open(blob, cls.kind)
        with _checking(cls.kind):
            before, after = float(meta["before"]), float(meta["after"])
            if not (np.isfinite(before) and np.isfinite(after)):
                raise RefusedPayload("a loss that is not a number")
            return cls(before, after, int(meta["texts"]), str(meta["kept"]))


def sizes(blob: NDArray[np.uint8]) -> dict[str, int]:
    """Bytes of a message by what they are: adapter, rows, losses, answers and texts, the rest as "other"."""
    arrays, meta = unpack(blob, limit_bytes=LIMIT_BYTES)
    result = {"adapter": 0, "rows": 0, "losses": 0, "answers": 0}
    for name, array in arrays.items():
        part = "losses" if name.endswith("losses") else name.partition("/")[0]
        if part in result:
            result[part] += array.nbytes
    for key in ("answers", "settled", "asked_answers"):
        result["answers"] += sum(len(str(row[1]).encode()) + 16 for row in meta.get(key, []))
    result["other"] = int(blob.nbytes) - sum(result.values())
    return {key: value for key, value in result.items() if value}


def _seal(kind: str, arrays: Arrays, meta: Mapping[str, Any]) -> NDArray[np.uint8]:
    return pack(arrays, {**meta, "kind": kind})


def _open(blob: NDArray[np.uint8], kind: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    arrays, meta = unpack(blob, limit_bytes=LIMIT_BYTES)
    if meta.get("kind") != kind:
        raise RefusedPayload(f"expected a message {kind!r}, got {str(meta.get('kind'))[:40]!r}")
    return arrays, meta


class _checking:
    """Whatever a malformed payload makes Python stumble over is a refused payload."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, (KeyError, TypeError, ValueError, AttributeError, OverflowError)):
            raise RefusedPayload(f"the message {self.kind!r} is malformed: {type(error).__name__}") from error


def _with_adapter(
    adapter: DecodedAdapter | None, coding: str
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    if adapter is None:
        return {}, {}
    encoded = encode_adapter(
        adapter.factors,
        rank=adapter.rank,
        alpha=adapter.alpha,
        base=adapter.base,
        provenance=adapter.provenance,
        coding=coding,
    )
    return {f"adapter/{key}": array for key, array in encoded.arrays.items()}, {"adapter": encoded.meta}


def _adapter_of(arrays: Arrays, meta: Mapping[str, Any]) -> DecodedAdapter | None:
    if "adapter" not in meta:
        return None
    return decode_adapter(_under("adapter/", arrays), meta["adapter"])


def _rows_of(arrays: Arrays, vocabulary_size: int, texts: int) -> list[RowArrays]:
    rows = decode_rows(_under("rows/", arrays), vocabulary_size)
    if len(rows) != texts:
        raise RefusedPayload(f"rows of {len(rows)} texts where {texts} were asked for")
    return rows


def _turn(value: Any) -> tuple[int, int] | None:
    return None if value is None else (int(value[0]), int(value[1]))


def _under(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _ids(array: NDArray[Any]) -> Ints:
    if array.dtype != np.int32 or array.ndim != 1 or (array.size and int(array.min()) < 0):
        raise RefusedPayload("a list of texts is not a list of places in the transfer set")
    return array


def _losses(array: NDArray[Any], count: int) -> Floats:
    if array.dtype != np.float32 or array.shape != (count,):
        raise RefusedPayload(f"{count} losses were expected, got shape {array.shape}")
    if not np.isfinite(array).all() or (array.size and float(array.min()) < 0):
        raise RefusedPayload("a loss that is not a number, or negative")
    return array


def _short(text: Any) -> str:
    if not isinstance(text, str) or len(text.encode()) > ANSWER_LIMIT_BYTES:
        raise RefusedPayload(f"an answer is not text of at most {ANSWER_LIMIT_BYTES} bytes")
    return text


def _share(value: Any) -> float:
    number = float(value)
    if not 0.0 <= number <= 1.0:
        raise RefusedPayload(f"{number} is not a share between 0 and 1")
    return number


def _listed(answers: Sequence[SettledAnswer]) -> list[list[Any]]:
    return [[a.text, a.answer, a.weight] for a in answers]


def _settled_of(rows: Any) -> list[SettledAnswer]:
    return [SettledAnswer(int(t), _short(a), _share(w)) for t, a, w in rows]
