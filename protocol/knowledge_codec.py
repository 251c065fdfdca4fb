"""Knowledge on the wire: the rows of many texts as a few arrays, about 70 bytes a row at top-16.

    texts      uint32 [T]          rows of each text
    steps      uint8|uint16 [N]    bytes of the response between a row and the one before it
    counts     uint8 [N]           tokens listed in each row
    ids        ids of the vocabulary [L]   (uint16, or 3 bytes each above 65,536)
    logp       uint8 [L]           log8 of the listed tokens
    tail       uint8 [N]           log8 of the mass that is not listed
    gold_at    uint8 [N]           place of the gold token in its row's list, 255: not listed
    gold       ids of the vocabulary [G]   the gold tokens that are not listed, in order
    gold_logp  float16 [N]         natural log

The tail lets the receiver bring every row back to mass 1, which also cancels the part of the coding
error that a row's tokens share. Rows are claims of a peer: a row whose mass is not 1, or whose gold
probability contradicts its list or its tail, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from renga.errors import RefusedPayload
from renga.protocol.coding import LOG8_ERROR, LOG8_FLOOR, from_ids, from_log8, to_ids, to_log8

Array = NDArray[Any]

MAX_COUNT = 254
"""Tokens that a row can list: `counts` and `gold_at` are bytes, and 255 means "not listed"."""

LOGP_ERROR = 2 * LOG8_ERROR
"""Largest error of a decoded log-probability above -16, in nats: its own coding and its row's mass."""

# A mass is a weighted mean of factors exp(+-LOG8_ERROR); the rest is for up to 254 tokens at the floor
# and for a softmax that sums to a little more than 1.
_MASS_ERROR = LOG8_ERROR + 2e-3
_UNLISTED = 255


class RowsLike(Protocol):
    """What is encoded: `renga.models.knowledge.Rows`, or anything with its fields."""

    @property
    def offsets(self) -> Array: ...
    @property
    def gold(self) -> Array: ...
    @property
    def gold_logp(self) -> Array: ...
    @property
    def counts(self) -> Array: ...
    @property
    def ids(self) -> Array: ...
    @property
    def logp(self) -> Array: ...


class RowArrays(NamedTuple):
    """What is decoded: the fields of `renga.models.knowledge.Rows`, with the same meaning."""

    offsets: NDArray[np.int32]  # [n]
    gold: NDArray[np.int32]  # [n]
    gold_logp: NDArray[np.float32]  # [n]
    counts: NDArray[np.int32]  # [n]
    ids: NDArray[np.int32]  # [sum counts]
    logp: NDArray[np.float32]  # [sum counts], falling inside a row


def encode_rows(rows: Sequence[RowsLike], vocabulary_size: int) -> dict[str, Array]:
    """The rows of many texts as the arrays above, for `packing.pack`.

    Raises ValueError on rows that no model can have meant: offsets that fall, more than 254 tokens in
    a row, an id outside the vocabulary, log-probabilities that rise or sum to more than 1.
    """
    texts = np.array([len(r.offsets) for r in rows], dtype=np.uint32)
    offsets, gold = _joined(rows, "offsets", np.int64), _joined(rows, "gold", np.int64)
    counts, ids = _joined(rows, "counts", np.int64), _joined(rows, "ids", np.int64)
    gold_logp, logp = _joined(rows, "gold_logp", np.float64), _joined(rows, "logp", np.float64)
    n = offsets.size
    if not (gold.size == gold_logp.size == counts.size == n and ids.size == logp.size == counts.sum()):
        raise ValueError("the arrays of the rows have lengths that don't fit one another")
    first = _first_of(texts)
    if (texts == 0).any() or offsets[first].any():
        raise ValueError("every text has rows, and the first stands at byte 0")
    steps = np.diff(offsets, prepend=0)
    steps[first] = 0
    if n and (steps.min() < 0 or steps.max() > 0xFFFF):
        raise ValueError("offsets must not fall, nor advance by more than 65,535 bytes in one token")
    if n and (counts.min() < 0 or counts.max() > MAX_COUNT):
        raise ValueError(f"a row can list 0 to {MAX_COUNT} tokens")
    if not np.isfinite(gold_logp).all():
        raise ValueError("a gold token's log-probability is not finite")
    row = np.repeat(np.arange(n), counts)
    if _rises(logp, row):
        raise ValueError("log-probabilities must fall inside a row")
    listed = np.bincount(row, weights=np.exp(logp), minlength=n)
    if n and not listed.max() <= 1 + 1e-3:
        raise ValueError(f"a row's listed probabilities sum to {listed.max():.4f}")

    place = np.arange(ids.size) - np.repeat(np.cumsum(counts) - counts, counts)
    gold_at = np.full(n, _UNLISTED, dtype=np.uint8)
    is_gold = ids == np.repeat(gold, counts)
    gold_at[row[is_gold]] = place[is_gold]
    unlisted = gold_at == _UNLISTED
    # 1 - sum loses its last digits when nearly all is listed; an unlisted gold is a lower bound.
    tail = np.maximum(1 - listed, np.where(unlisted, np.exp(gold_logp), 0))
    with np.errstate(divide="ignore"):
        tail_codes = to_log8(np.log(np.maximum(tail, 0)))
    return {
        "texts": texts,
        "steps": steps.astype(np.uint8 if n == 0 or steps.max() <= 0xFF else np.uint16),
        "counts": counts.astype(np.uint8),
        "ids": to_ids(ids, vocabulary_size),
        "logp": to_log8(logp),
        "tail": tail_codes,
        "gold_at": gold_at,
        "gold": to_ids(gold[unlisted], vocabulary_size),
        "gold_logp": np.clip(gold_logp, -6e4, 0).astype(np.float16),
    }


def decode_rows(
    arrays: Mapping[str, Array], vocabulary_size: int, *, max_count: int = MAX_COUNT
) -> list[RowArrays]:
    """The rows of every text. Raises RefusedPayload, naming the text where it can, on any of:

    a missing or further array, a wrong dtype, shape or length; an id outside the vocabulary; a row
    with more than `max_count` tokens, a token twice, or log-probabilities that rise; a row whose mass
    is not 1; a gold log-probability that is not finite, above 0, or at odds with the row.
    Log-probabilities are within LOGP_ERROR of what was encoded (or of -16, below that).
    """
    _check_form(arrays)
    texts, counts = arrays["texts"].astype(np.int64), arrays["counts"].astype(np.int64)
    n, total = counts.size, int(counts.sum())
    for name, length in {
        "steps": n, "tail": n, "gold_at": n, "gold_logp": n, "logp": total, "ids": total,
        "gold": int((arrays["gold_at"] == _UNLISTED).sum()),
    }.items():  # fmt: skip
        if arrays[name].shape[0] != length:
            raise _refused(f"{arrays[name].shape[0]} {name}, {length} expected")
    if int(texts.sum()) != n or (texts == 0).any():
        raise _refused(f"the texts don't add up to {n} rows")
    text = np.repeat(np.arange(texts.size), texts)

    def refuse_where(bad: NDArray[np.bool_], why: str) -> None:
        """`bad` is over rows [n]."""
        if bad.any():
            raise _refused(f"text {text[int(bad.argmax())]}: {why}")

    steps = arrays["steps"].astype(np.int64)
    refuse_where(counts > max_count, f"a row lists more than {max_count} tokens")
    refuse_where(np.isin(np.arange(n), _first_of(texts)) & (steps != 0), "its first row is not at byte 0")
    ends = np.cumsum(steps)
    offsets = ends - np.repeat(ends[_first_of(texts)], texts)
    refuse_where(offsets > 0x7FFFFFFF, "its response is longer than 2 GiB")
    try:
        ids = from_ids(arrays["ids"], vocabulary_size)
        explicit = from_ids(arrays["gold"], vocabulary_size)
    except ValueError as error:
        raise _refused(str(error)) from error

    row = np.repeat(np.arange(n), counts)
    keys = np.sort(row * vocabulary_size + ids)
    if (keys[1:] == keys[:-1]).any():
        raise _refused("a row lists a token twice")
    if _rises(-arrays["logp"].astype(np.int16), row):
        raise _refused("log-probabilities rise inside a row")
    logp = from_log8(arrays["logp"]).astype(np.float64)
    tail = np.exp(from_log8(arrays["tail"]).astype(np.float64))
    mass = np.bincount(row, weights=np.exp(logp), minlength=n) + tail
    refuse_where(np.abs(np.log(mass)) > _MASS_ERROR, "a row's probabilities don't sum to 1")
    logp -= np.log(mass)[row]

    gold_at = arrays["gold_at"].astype(np.int64)
    unlisted = gold_at == _UNLISTED
    refuse_where(~unlisted & (gold_at >= counts), "a gold token stands after the end of its list")
    at = (np.cumsum(counts) - counts + gold_at)[~unlisted]
    gold = np.empty(n, dtype=np.int32)
    gold[unlisted], gold[~unlisted] = explicit, ids[at]
    gold_logp = arrays["gold_logp"].astype(np.float32)
    refuse_where(~np.isfinite(gold_logp) | (gold_logp > 0), "a gold log-probability is not one")
    # What the row itself says of the gold token, at most (unlisted) or about (listed).
    ceiling = np.log(tail / mass)
    ceiling[~unlisted] = logp[at]
    claim = np.maximum(gold_logp, LOG8_FLOOR)
    slack = LOGP_ERROR + 0.02  # float16, and a floor that the row's mass has moved
    refuse_where(
        (claim > ceiling + slack) | (~unlisted & (claim < ceiling - slack)),
        "a gold log-probability contradicts its row",
    )
    gold_is_in = np.zeros(n, dtype=bool)
    gold_is_in[row[ids == gold[row]]] = True
    refuse_where(unlisted & gold_is_in, "a gold token is given apart although its row lists it")

    by_row, by_token = np.cumsum(texts)[:-1], np.cumsum(np.bincount(text, counts, texts.size))[:-1]
    columns = [
        np.split(offsets.astype(np.int32), by_row),
        np.split(gold, by_row),
        np.split(gold_logp, by_row),
        np.split(counts.astype(np.int32), by_row),
        np.split(ids, by_token.astype(np.int64)),
        np.split(logp.astype(np.float32), by_token.astype(np.int64)),
    ]
    return [RowArrays(*parts) for parts in zip(*columns, strict=True)][: texts.size]


_FORMS: dict[str, tuple[str, ...]] = {
    "texts": ("uint32",),
    "steps": ("uint8", "uint16"),
    "counts": ("uint8",),
    "ids": ("uint16", "uint8"),
    "logp": ("uint8",),
    "tail": ("uint8",),
    "gold_at": ("uint8",),
    "gold": ("uint16", "uint8"),
    "gold_logp": ("float16",),
}


def _check_form(arrays: Mapping[str, Array]) -> None:
    if set(arrays) != set(_FORMS):
        raise _refused(f"arrays {sorted(set(arrays) ^ set(_FORMS))} missing or unknown")
    for name, dtypes in _FORMS.items():
        array = arrays[name]
        wide = name in ("ids", "gold") and array.dtype == np.uint8  # three bytes for an id
        if array.dtype.name not in dtypes or array.ndim != (2 if wide else 1):
            raise _refused(f"array {name!r} is {array.dtype} with {array.ndim} dimensions")


def _first_of(texts: Array) -> NDArray[np.int64]:
    """The index of every text's first row."""
    ends: NDArray[np.int64] = np.cumsum(texts.astype(np.int64))
    return ends - texts.astype(np.int64)


def _rises(values: Array, row: Array) -> bool:
    return bool(((values[1:] > values[:-1]) & (row[1:] == row[:-1])).any())


def _joined(rows: Sequence[RowsLike], field: str, dtype: type[Any]) -> Array:
    return np.concatenate([np.asarray(getattr(r, field), dtype=dtype) for r in rows] or [np.empty(0, dtype)])


def _refused(why: str) -> RefusedPayload:
    return RefusedPayload(
        f"knowledge refused: {why}", hint="the sender's model or Renga differs from ours, or it is not honest"
    )
