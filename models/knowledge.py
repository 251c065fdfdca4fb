"""Knowledge: what a model says about one response, row by row, as sparse log-probabilities.

Rows come from a model of ours (`rows_from_logits`) or from a peer, and then nothing of them is believed
before `Rows.check` has passed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from renga.errors import RefusedPayload, RengaError
from renga.models.vocabulary import Vocabulary
from renga.protocol.coding import LOG8_FLOOR
from renga.protocol.knowledge_codec import LOGP_ERROR, RowsLike

_CHUNK = 1 << 23  # logits looked at at once: 32 MiB of float32


@dataclass(frozen=True)
class Rows:
    """What a model says about one response: one row per response token plus one for its end.

    Sparse (CSR): row j lists counts[j] tokens, and the rest of its mass, 1 - sum(exp(logp)), is its tail.
    Positions are byte offsets in the response.

    offsets: int32 [n], bytes of the response read before row j; offsets[0] is 0, and the last row stands
    at the response's length and predicts the end.
    gold: int32 [n], the token that the response continues with (in the last row `vocabulary.end`).
    gold_logp: float32 [n], natural log, whether the row lists gold or not.
    counts: int32 [n]. ids: int32 [sum counts]. logp: float32 [sum counts], natural logs, falling in a row.
    """

    offsets: NDArray[np.int32]
    gold: NDArray[np.int32]
    gold_logp: NDArray[np.float32]
    counts: NDArray[np.int32]
    ids: NDArray[np.int32]
    logp: NDArray[np.float32]

    @classmethod
    def of(cls, rows: RowsLike) -> Rows:
        """Rows that arrived; nothing of them is believed before `check`."""
        return cls(rows.offsets, rows.gold, rows.gold_logp, rows.counts, rows.ids, rows.logp)

    @property
    def bits_per_byte(self) -> float:
        """-sum(gold_logp[:-1]) / ln 2 / bytes: the end's row isn't counted.

        NaN for an empty response, which thereby wins no comparison.
        """
        length = int(self.offsets[-1])
        if length == 0:
            return math.nan
        return -float(self.gold_logp[:-1].sum(dtype=np.float64)) / math.log(2) / length

    @property
    def probability(self) -> float:
        """Of exactly this response, its end included."""
        return min(1.0, math.exp(float(self.gold_logp.sum(dtype=np.float64))))

    def tail(self) -> NDArray[np.float32]:
        """The mass of each row that no listed token has, at least 0: float32 [n]."""
        listed = np.bincount(self._row(), np.exp(self.logp.astype(np.float64)), minlength=len(self.counts))
        tail: NDArray[np.float32] = np.maximum(0.0, 1.0 - listed).astype(np.float32)
        return tail

    def check(self, size: int, length: int, spelled: tuple[Vocabulary, bytes] | None = None) -> None:
        """Refuse rows that no model with a vocabulary of `size` can have meant for `length` bytes.

        With `spelled`, the sender's vocabulary and the response, the gold tokens must spell the response
        and end it. A listed gold token must agree with its row, and an unlisted one be no more probable
        than what is listed or than the tail, within the error of the 8-bit code.
        Raises RefusedPayload, naming the first thing that is wrong.
        """
        n = len(self.offsets)
        for name, dtype in _DTYPES.items():
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 1:
                raise _refused(f"{name} is not a {dtype.name} array of one dimension")
        _require(n > 0, "there is no row")
        _require(len(self.gold) == len(self.gold_logp) == len(self.counts) == n, "arrays differ in length")
        _require(bool((self.counts >= 0).all()), "a row lists fewer than no tokens")
        listed = int(self.counts.sum(dtype=np.int64))
        _require(len(self.ids) == len(self.logp) == listed, f"counts sum to {listed}, not to what is listed")
        _require(self.offsets[0] == 0, "the first row is not at byte 0")
        _require(bool((self.offsets[1:] >= self.offsets[:-1]).all()), "offsets fall")
        _require(
            int(self.offsets[-1]) == length, f"the last row is not at byte {length}, where the text ends"
        )
        for name, ids in (("gold", self.gold), ("ids", self.ids)):
            _require(bool(((ids >= 0) & (ids < size)).all()), f"{name} has ids outside 0 to {size - 1}")
        for name, logs in (("gold_logp", self.gold_logp), ("logp", self.logp)):
            _require(
                bool((np.isfinite(logs) & (logs <= 1e-3)).all()), f"{name} holds what is no log-probability"
            )
        self._check_lists(size)
        if spelled is not None:
            vocabulary, response = spelled
            spells = vocabulary.bytes_of(self.gold[:-1].tolist()) == response
            _require(spells and int(self.gold[-1]) == vocabulary.end, "gold doesn't spell the response")
            steps = vocabulary.lengths()[self.gold]
            _require(
                bool((np.diff(self.offsets) == steps[:-1]).all()), "offsets don't follow the gold tokens"
            )

    def _check_lists(self, size: int) -> None:
        row, n = self._row(), len(self.counts)
        keys = np.sort(row * size + self.ids)
        _require(bool((keys[1:] != keys[:-1]).all()), "a row lists a token twice")
        same_row = row[1:] == row[:-1]
        _require(not bool((same_row & (self.logp[1:] > self.logp[:-1])).any()), "logp rises inside a row")
        mass = np.bincount(row, np.exp(self.logp.astype(np.float64)), minlength=n)
        _require(bool((mass <= 1 + 1e-2).all()), f"a row's probabilities sum to {mass.max():.3f}")
        # float16 costs gold_logp a little more than the code of the listed; below its floor all are equal.
        slack = LOGP_ERROR + 0.02
        claim = np.maximum(self.gold_logp, LOG8_FLOOR).astype(np.float64)
        is_gold = self.ids == self.gold[row]
        apart = np.abs(np.maximum(self.logp, LOG8_FLOOR)[is_gold] - claim[row[is_gold]])
        _require(bool((apart <= slack).all()), "a gold log-probability contradicts its row")
        unlisted = np.ones(n, dtype=bool)
        unlisted[row[is_gold]] = False
        last = np.cumsum(self.counts) - 1
        most = np.zeros(n)
        full = self.counts > 0
        most[full] = self.logp[last[full]]
        room = (1 - mass) * math.exp(slack) + 1e-2
        too_much = unlisted & ((claim > np.maximum(most, LOG8_FLOOR) + slack) | (np.exp(claim) > room))
        _require(
            not bool(too_much.any()), "an unlisted gold token is more probable than its row leaves room for"
        )

    def _row(self) -> NDArray[np.int64]:
        """The row of every listed token: [sum counts]."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


_DTYPES = {
    "offsets": np.dtype(np.int32),
    "gold": np.dtype(np.int32),
    "gold_logp": np.dtype(np.float32),
    "counts": np.dtype(np.int32),
    "ids": np.dtype(np.int32),
    "logp": np.dtype(np.float32),
}


def rows_from_logits(
    logits: torch.Tensor, gold: Sequence[int], vocabulary: Vocabulary, top_k: int, floor: float
) -> Rows:
    """The rows of one response. logits: [n, at least vocabulary.size]; gold: its n - 1 ids, then the end.

    Row j keeps its `top_k` most probable tokens, of these the ones with probability `floor` or more (maybe
    none). Output rows of the model beyond vocabulary.size name no token and are left out of the softmax.
    Raises RengaError when logits are not finite.
    """
    n, size = len(gold), min(vocabulary.size, logits.shape[-1])
    if logits.shape[0] != n or n == 0:
        raise ValueError(f"{logits.shape[0]} rows of logits for {n} gold ids")
    k = min(top_k, size)
    wanted = torch.tensor(gold, device=logits.device)
    gold_logp, values, tokens = [], [], []
    with torch.no_grad():
        step = max(1, _CHUNK // size)
        for start in range(0, n, step):
            part = torch.log_softmax(logits[start : start + step, :size].float(), dim=-1)
            gold_logp.append(part.gather(1, wanted[start : start + step, None])[:, 0])
            best = torch.topk(part, k, dim=-1)
            values.append(best.values)
            tokens.append(best.indices)
    logp = torch.cat(values).cpu().numpy()
    ids = torch.cat(tokens).to(torch.int32).cpu().numpy()
    golden = torch.cat(gold_logp).cpu().numpy()
    if not np.isfinite(golden).all() or np.isnan(logp).any():
        raise RengaError(
            "the model's outputs are not finite numbers", hint="its weights or adapter are broken"
        )
    keep = logp >= math.log(floor) if floor > 0 else np.isfinite(logp)
    gold_ids = np.asarray(gold, dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum(vocabulary.lengths()[gold_ids[:-1]])])
    return Rows(
        offsets=offsets.astype(np.int32),
        gold=gold_ids,
        gold_logp=golden.astype(np.float32),
        counts=keep.sum(1).astype(np.int32),
        ids=ids[keep],
        logp=logp[keep].astype(np.float32),
    )


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _refused(otherwise)


def _refused(why: str) -> RefusedPayload:
    return RefusedPayload(
        f"knowledge refused: {why}", hint="the sender's model or Renga differs from ours, or it is not honest"
    )
