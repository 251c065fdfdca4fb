"""What messages are made of: how their parts are packed, and how strictly they are read again.

Whoever reads one trusts nothing: names, types, shapes, finiteness and sizes are checked here, and what does
not fit is a RefusedPayload.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.errors import RefusedPayload
from renga.protocol.adapter_codec import DecodedAdapter, decode_adapter, encode_adapter
from renga.protocol.knowledge_codec import RowArrays, decode_rows
from renga.protocol.packing import pack, unpack

# Nothing of ours is near this; what is larger is not of ours.
LIMIT_BYTES = 1 << 30
ANSWER_LIMIT_BYTES = 4096
# Losses in bits per byte: a uniform guess over a vocabulary of 2**18 one-byte tokens has 18.
LOSS_LIMIT = 1e4
# What a client may say of its training: numbers for the metrics, of which nothing is believed.
TRAINING = ("private_loss", "private_tokens", "transfer_loss", "transfer_tokens", "transfer_kept")

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]]


def seal(kind: str, arrays: Arrays, meta: Mapping[str, Any]) -> NDArray[np.uint8]:
    return pack(arrays, {**meta, "kind": kind})


def unsealed(blob: NDArray[np.uint8], expected: type[Any]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    arrays, meta = unpack(blob, limit_bytes=LIMIT_BYTES)
    if meta.get("kind") != expected.kind:
        raise RefusedPayload(f"expected a message {expected.kind!r}, got {str(meta.get('kind'))[:40]!r}")
    found = {name.partition("/")[0] for name in arrays} | set(meta) - {"kind"}
    if unknown := sorted(found - set(expected.__dataclass_fields__)):
        raise RefusedPayload(f"the message {expected.kind!r} has a part unknown here: {unknown[0][:40]!r}")
    return arrays, meta


class checking:
    """Whatever a malformed payload makes Python stumble over is a refused payload."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)):
            raise RefusedPayload(f"the message {self.kind!r} is malformed: {type(error).__name__}") from error


def with_adapter(
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


def adapter_of(arrays: Arrays, meta: Mapping[str, Any]) -> DecodedAdapter | None:
    found = under("adapter/", arrays)
    return decode_adapter(found, meta["adapter"]) if found or "adapter" in meta else None


def rows_of(arrays: Arrays, vocabulary_size: int, texts: int) -> list[RowArrays]:
    rows = decode_rows(under("rows/", arrays), vocabulary_size)
    if len(rows) != texts:
        raise RefusedPayload(f"rows of {len(rows)} texts where {texts} were asked for")
    return rows


def with_answers(part: str, answers: Sequence[tuple[int, str]]) -> dict[str, NDArray[Any]]:
    told = [answer.encode() for _, answer in answers]
    return {
        f"{part}/texts": np.array([text for text, _ in answers], np.int32),
        f"{part}/lengths": np.array([len(answer) for answer in told], np.int32),
        f"{part}/bytes": np.frombuffer(b"".join(told), np.uint8),
    }


def answers_of(part: str, arrays: Arrays) -> list[tuple[int, str]]:
    """(text, answer) of each, no text twice."""
    texts, told, lengths = (arrays[f"{part}/{key}"] for key in ("texts", "bytes", "lengths"))
    if len(under(f"{part}/", arrays)) != 3 or told.dtype != np.uint8 or lengths.shape != places(texts).shape:
        raise RefusedPayload("answers come in another form than ours")
    if not ((lengths >= 0) & (lengths <= ANSWER_LIMIT_BYTES)).all():
        raise RefusedPayload(f"an answer is not text of at most {ANSWER_LIMIT_BYTES} bytes")
    ends = np.cumsum(lengths, dtype=np.int64)
    if told.shape != (int(ends[-1]) if len(ends) else 0,):
        raise RefusedPayload("the lengths of the answers don't add up")
    parts = [told[end - length : end].tobytes() for end, length in zip(ends, lengths, strict=True)]
    return [(int(text), answer.decode()) for text, answer in zip(texts, parts, strict=True)]


# Attempts are written in equal length: a run that was killed accounts for the bytes of one that was not.


def padded(attempt: int) -> str:
    return f"{attempt:06d}"


def turn_said(turn: tuple[int, int] | None) -> list[Any] | None:
    return None if turn is None else [turn[0], padded(turn[1])]


def turn_of(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    round, attempt = value
    return whole(round), int(attempt)


def under(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def places(array: NDArray[Any]) -> Ints:
    if array.dtype != np.int32 or array.ndim != 1 or (array.size and int(array.min()) < 0):
        raise RefusedPayload("a list of texts is not a list of places in the transfer set")
    if len(np.unique(array)) < len(array):
        raise RefusedPayload("a list of texts names one twice")
    return array


def losses_of(array: NDArray[Any], count: int) -> Floats:
    if array.dtype != np.float32 or array.shape != (count,):
        raise RefusedPayload(f"{count} losses were expected, got shape {array.shape}")
    if not ((array >= 0) & (array <= LOSS_LIMIT)).all():  # NaN is neither
        raise RefusedPayload(f"a loss that is not a number from 0 to {LOSS_LIMIT:g}")
    return array


def within(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise RefusedPayload(f"{str(value)[:40]!r} is not a number from {low:g} to {high:g}")
    return float(value)


def whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise RefusedPayload(f"{str(value)[:40]!r} is not a whole number")
    return value


def shapes_of(value: Any) -> dict[str, tuple[int, int]]:
    shapes = {str(path): (whole(out), whole(inside)) for path, (out, inside) in value.items()}
    if not shapes or not all(1 <= size < 1 << 31 for shape in shapes.values() for size in shape):
        raise RefusedPayload("no layers, or layers without a size")
    return shapes


def training_of(value: Any) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for key in TRAINING:
        if key in value:
            found = value[key]
            numbers = found if isinstance(found, list) else [found]
            if any(isinstance(x, bool) or not isinstance(x, int | float) for x in numbers):
                raise RefusedPayload(f"what it says of its training is not numbers: {key}")
            told[key] = found
    return told
