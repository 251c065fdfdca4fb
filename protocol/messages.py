"""The messages of a round, in both directions, and their wire form.

A message is a frozen dataclass; on the wire it is one packed uint8 array (arrays plus a little JSON), carried
in the record "payload" of a Flower message. Decoding checks everything it can without a model: names, types,
shapes, finiteness, sizes. What needs a model (a claimed loss, an adapter's layers) is checked by who has it.

| message        | direction        | what it reveals                                                        |
|----------------|------------------|------------------------------------------------------------------------|
| Description    | client -> server | model, rank, number of private texts                                   |
| LearnRequest   | server -> client | the cohort's adapter, the host's losses on public texts                |
| LearnReply     | client -> server | the client's losses on public texts, its answers to public questions   |
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
from renga.protocol.adapter_codec import DecodedAdapter, decode_adapter, encode_adapter
from renga.protocol.knowledge_codec import RowArrays, RowsLike, decode_rows, encode_rows
from renga.protocol.packing import pack, unpack

# Nothing of ours is near this; what is larger is not of ours.
LIMIT_BYTES = 1 << 30
ANSWER_LIMIT_BYTES = 4096
# Losses in bits per byte: a uniform guess over a vocabulary of 2**18 one-byte tokens has 18.
LOSS_LIMIT = 1e4
# What a client may say of its training: numbers for the metrics, of which nothing is believed.
TRAINING = ("private_loss", "private_tokens", "transfer_loss", "transfer_tokens")

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
    """An answer to the bare prompt `text` of the transfer set.

    `agreement` in [0, 1]: how probable its giver finds it.
    """

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
        _, meta = _open(blob, cls)
        with _checking(cls.kind):
            rank, shapes, texts = _whole(meta["rank"]), _shapes(meta["shapes"]), _whole(meta["texts"])
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
                vocabulary_size=_whole(meta["vocabulary_size"]),
                rank=rank,
                alpha=_within(meta["alpha"], 1e-6, 1e6),
                texts=texts,
                weight=_within(meta["weight"], 0.0, 1e9),
                transfer=str(meta["transfer"]),
                shapes=shapes,
            )


@dataclass(frozen=True)
class LearnRequest:
    """Start of a round. Texts and questions are places in the transfer set that both sides hold.

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
    questions: Ints
    answer_tokens: int
    adapter: DecodedAdapter | None = None

    def encode(self) -> NDArray[np.uint8]:
        arrays, meta = _with_adapter(self.adapter, "float32")
        arrays |= {"texts": self.texts, "host_losses": self.host_losses, "questions": self.questions}
        meta |= {key: getattr(self, key) for key in ("round", "seed", "host", "answer_tokens")}
        meta |= {"attempt": _padded(self.attempt), "since": _said(self.since), "adopted": _said(self.adopted)}
        return _seal(self.kind, arrays, meta)

    @classmethod
    def decode(cls, blob: NDArray[np.uint8]) -> Self:
        arrays, meta = _open(blob, cls)
        with _checking(cls.kind):
            texts = _ids(arrays["texts"])
            return cls(
                round=_whole(meta["round"]),
                attempt=int(meta["attempt"]),
                seed=int(meta["seed"]),
                since=_turn(meta["since"]),
                adopted=_turn(meta["adopted"]),
                host=str(meta["host"]),
                texts=texts,
                host_losses=_losses(arrays["host_losses"], len(texts)),
                questions=_ids(arrays["questions"]),
                answer_tokens=_whole(meta["answer_tokens"]),
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
        arrays = {"losses": self.losses, "wants": self.wants}
        arrays |= _with_answers("answers", [(a.text, a.answer, a.agreement) for a in self.answers])
        return _seal(self.kind, arrays, {"training": dict(self.training)})

    @classmethod
    def decode(cls, blob: NDArray[np.uint8], *, texts: int) -> Self:
        arrays, meta = _open(blob, cls)
        with _checking(cls.kind):
            answers = [GivenAnswer(*found) for found in _answers_of("answers", arrays)]
            losses, wants = _losses(arrays["losses"], texts), _ids(arrays["wants"])
            return cls(losses, wants, answers, _training(meta["training"]))


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
            key: getattr(self, key) for key in ("round", "seed", "vocabulary_size", "host", "top_k", "floor")
        }
        meta |= {"distillation": self.distillation, "temperature": self.temperature}
        meta["attempt"] = _padded(self.attempt)
        for part in ("asked_answers", "settled"):
            arrays |= _with_answers(part, [(a.text, a.answer, a.weight) for a in getattr(self, part)])
        return _seal(self.kind, arrays, meta)

    @classmethod
    def decode(cls, blob: NDArray[np.uint8]) -> Self:
        arrays, meta = _open(blob, cls)
        with _checking(cls.kind):
            given = _ids(arrays["given"])
            size = _whole(meta["vocabulary_size"])
            return cls(
                round=_whole(meta["round"]),
                attempt=int(meta["attempt"]),
                seed=int(meta["seed"]),
                vocabulary_size=size,
                host=str(meta["host"]),
                given=given,
                rows=_rows_of(arrays, size, len(given)),
                asked=_ids(arrays["asked"]),
                asked_answers=[SettledAnswer(*a) for a in _answers_of("asked_answers", arrays)],
                settled=[SettledAnswer(*a) for a in _answers_of("settled", arrays)],
                top_k=max(1, _whole(meta["top_k"])),
                floor=_within(meta["floor"], 0.0, 1.0),
                distillation=_within(meta["distillation"], 0.0, 1.0),
                temperature=_within(meta["temperature"], 1e-3, 1e3),
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
        arrays, meta = _with_adapter(self.adapter, self.coding)
        arrays |= {f"rows/{key}": a for key, a in encode_rows(self.rows, self.vocabulary_size).items()}
        return _seal(self.kind, arrays, {**meta, "coding": self.coding, "training": dict(self.training)})

    @classmethod
    def decode(cls, blob: NDArray[np.uint8], *, vocabulary_size: int, texts: int) -> Self:
        arrays, meta = _open(blob, cls)
        with _checking(cls.kind):
            adapter = _adapter_of(arrays, meta)
            if adapter is None:
                raise RefusedPayload("no adapter in the reply")
            return cls(
                vocabulary_size=vocabulary_size,
                rows=_rows_of(arrays, vocabulary_size, texts),
                adapter=adapter,
                coding=str(meta["coding"]),
                training=_training(meta["training"]),
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
        return _seal(self.kind, arrays, {**meta, "round": self.round, "attempt": _padded(self.attempt)})

    @classmethod
    def decode(cls, blob: NDArray[np.uint8]) -> Self:
        arrays, meta = _open(blob, cls)
        with _checking(cls.kind):
            adapter = _adapter_of(arrays, meta)
            if adapter is None:
                raise RefusedPayload("no adapter to judge")
            return cls(_whole(meta["round"]), int(meta["attempt"]), adapter, meta["adapter"]["coding"])


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
        return _seal(self.kind, {}, meta)

    @classmethod
    def decode(cls, blob: NDArray[np.uint8]) -> Self:
        _, meta = _open(blob, cls)
        with _checking(cls.kind):
            before, after = (_within(meta[key], 0.0, LOSS_LIMIT) for key in ("before", "after"))
            if meta["kept"] not in ("own", "merged"):
                raise RefusedPayload("it keeps neither its own adapter nor the merged one")
            return cls(before, after, _whole(meta["texts"]), meta["kept"])


def sizes(blob: NDArray[np.uint8]) -> dict[str, int]:
    """Bytes of a message by what they are: adapter, rows, losses, answers and texts, the rest as "other"."""
    arrays, _ = unpack(blob, limit_bytes=LIMIT_BYTES)
    result = {"adapter": 0, "rows": 0, "losses": 0, "answers": 0}
    for name, array in arrays.items():
        part = name.partition("/")[0]
        part = {"host_losses": "losses", "asked_answers": "answers", "settled": "answers"}.get(part, part)
        if part in result:
            result[part] += array.nbytes
    result["other"] = int(blob.nbytes) - sum(result.values())
    return {key: value for key, value in result.items() if value}


def _seal(kind: str, arrays: Arrays, meta: Mapping[str, Any]) -> NDArray[np.uint8]:
    return pack(arrays, {**meta, "kind": kind})


def _open(blob: NDArray[np.uint8], expected: type[Any]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    arrays, meta = unpack(blob, limit_bytes=LIMIT_BYTES)
    if meta.get("kind") != expected.kind:
        raise RefusedPayload(f"expected a message {expected.kind!r}, got {str(meta.get('kind'))[:40]!r}")
    found = {name.partition("/")[0] for name in arrays} | set(meta) - {"kind"}
    if unknown := sorted(found - set(expected.__dataclass_fields__)):
        raise RefusedPayload(f"the message {expected.kind!r} has a part unknown here: {unknown[0][:40]!r}")
    return arrays, meta


class _checking:
    """Whatever a malformed payload makes Python stumble over is a refused payload."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)):
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
    found = _under("adapter/", arrays)
    return decode_adapter(found, meta["adapter"]) if found or "adapter" in meta else None


def _rows_of(arrays: Arrays, vocabulary_size: int, texts: int) -> list[RowArrays]:
    rows = decode_rows(_under("rows/", arrays), vocabulary_size)
    if len(rows) != texts:
        raise RefusedPayload(f"rows of {len(rows)} texts where {texts} were asked for")
    return rows


def _with_answers(part: str, answers: Sequence[tuple[int, str, float]]) -> dict[str, NDArray[Any]]:
    told = [answer.encode() for _, answer, _ in answers]
    return {
        f"{part}/texts": np.array([text for text, _, _ in answers], np.int32),
        f"{part}/sure": np.array([sure for _, _, sure in answers], np.float32),
        f"{part}/lengths": np.array([len(answer) for answer in told], np.int32),
        f"{part}/bytes": np.frombuffer(b"".join(told), np.uint8),
    }


def _answers_of(part: str, arrays: Arrays) -> list[tuple[int, str, float]]:
    """(text, answer, how sure) of each, no text twice."""
    texts, told = _ids(arrays[f"{part}/texts"]), arrays[f"{part}/bytes"]
    sure, lengths = arrays[f"{part}/sure"], arrays[f"{part}/lengths"]
    if len(_under(f"{part}/", arrays)) != 4 or sure.dtype != np.float32 or told.dtype != np.uint8:
        raise RefusedPayload("answers come in another form than ours")
    if not (sure.shape == lengths.shape == texts.shape and ((sure >= 0) & (sure <= 1)).all()):
        raise RefusedPayload("how sure an answer is, is not a share between 0 and 1")
    if not ((lengths >= 0) & (lengths <= ANSWER_LIMIT_BYTES)).all():
        raise RefusedPayload(f"an answer is not text of at most {ANSWER_LIMIT_BYTES} bytes")
    ends = np.cumsum(lengths, dtype=np.int64)
    if told.shape != (int(ends[-1]) if len(ends) else 0,):
        raise RefusedPayload("the lengths of the answers don't add up")
    parts = [told[end - length : end].tobytes() for end, length in zip(ends, lengths, strict=True)]
    return [(int(t), a.decode(), float(s)) for t, a, s in zip(texts, parts, sure, strict=True)]


# Attempts are written in equal length: a run that was killed accounts for the bytes of one that was not.


def _padded(attempt: int) -> str:
    return f"{attempt:06d}"


def _said(turn: tuple[int, int] | None) -> list[Any] | None:
    return None if turn is None else [turn[0], _padded(turn[1])]


def _turn(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    round, attempt = value
    return _whole(round), int(attempt)


def _under(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _ids(array: NDArray[Any]) -> Ints:
    if array.dtype != np.int32 or array.ndim != 1 or (array.size and int(array.min()) < 0):
        raise RefusedPayload("a list of texts is not a list of places in the transfer set")
    if len(np.unique(array)) < len(array):
        raise RefusedPayload("a list of texts names one twice")
    return array


def _losses(array: NDArray[Any], count: int) -> Floats:
    if array.dtype != np.float32 or array.shape != (count,):
        raise RefusedPayload(f"{count} losses were expected, got shape {array.shape}")
    if not ((array >= 0) & (array <= LOSS_LIMIT)).all():  # NaN is neither
        raise RefusedPayload(f"a loss that is not a number from 0 to {LOSS_LIMIT:g}")
    return array


def _within(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise RefusedPayload(f"{str(value)[:40]!r} is not a number from {low:g} to {high:g}")
    return float(value)


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise RefusedPayload(f"{str(value)[:40]!r} is not a whole number")
    return value


def _shapes(value: Any) -> dict[str, tuple[int, int]]:
    shapes = {str(path): (_whole(out), _whole(inside)) for path, (out, inside) in value.items()}
    if not shapes or not all(1 <= size < 1 << 31 for shape in shapes.values() for size in shape):
        raise RefusedPayload("no layers, or layers without a size")
    return shapes


def _training(value: Any) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for key in TRAINING:
        if key in value:
            found = value[key]
            numbers = found if isinstance(found, list) else [found]
            if any(isinstance(x, bool) or not isinstance(x, int | float) for x in numbers):
                raise RefusedPayload(f"what it says of its training is not numbers: {key}")
            told[key] = found
    return told
