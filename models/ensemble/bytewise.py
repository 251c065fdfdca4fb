"""A language model as one over bytes: its exact next-byte distribution, whatever its tokens.

The probability that an answer begins with bytes B is the sum over all covers of B: token sequences whose last
token reaches or crosses the end of B, and only the last. Its next byte follows by division. Nothing depends
on how B happens to be cut, so models of any two tokenizers can be mixed here without bias; this is what rules
over tokens are judged by. (Cf. arXiv:2506.14123 and 2410.09303.)

Exact with `prune=0`, at a cost that grows with the number of ways to cut B. Otherwise a cover whose share of
the mass falls below `prune` is dropped; what was dropped in a session is in its `dropped`. `canonical` keeps,
of all ways to cut what lies behind, the tokenizer's own: exact for a model that gives no mass to others.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from renga.models.composed import ALL_WANTS, Reader, RowsSession
from renga.models.contract import LanguageModel, Prompt
from renga.models.vocabulary import Vocabulary, byte_letter

HELD = 64  # rows kept by a session

_trees: WeakKeyDictionary[Vocabulary, _Tree] = WeakKeyDictionary()


class Bytewise:
    """`model` over bytes; see the module."""

    offers = ALL_WANTS

    def __init__(self, model: LanguageModel, *, prune: float = 1e-4, canonical: bool = False) -> None:
        self.members = (model,)
        self.vocabulary = byte_vocabulary()
        self.prune = prune
        self.canonical = canonical

    def open(self, prompt: Prompt) -> BytewiseSession:
        return BytewiseSession(self, prompt)


def bytewise(model: LanguageModel, *, prune: float = 1e-4, canonical: bool = False) -> LanguageModel:
    """The exact next-byte model of `model` (see the module)."""
    return Bytewise(model, prune=prune, canonical=canonical)


@dataclass(frozen=True)
class _Cover:
    """Tokens that end at byte `end` of the answer; what comes next must cover all that lies behind it."""

    ids: tuple[int, ...]
    end: int
    mass: float  # P(ids), as a share of the probability of all bytes so far


@dataclass(frozen=True)
class _Reached:
    """All covers of one prefix, and the next-byte row behind it."""

    covers: list[_Cover]
    row: NDArray[np.float64]  # [257], bytes and the end; sums to what was not dropped


class BytewiseSession(RowsSession):
    """One session over bytes."""

    def __init__(self, model: Bytewise, prompt: Prompt) -> None:
        super().__init__(prompt, model.vocabulary)
        inner = model.members[0]
        self._model = model
        self._tree = tree_of(inner.vocabulary)
        self._reader = Reader(inner, prompt)
        self._told: dict[tuple[int, ...], NDArray[np.float64]] = {}  # probabilities in the tree's order
        self._path: list[tuple[int, _Reached]] = []  # byte read, and what was reached by it
        self.dropped = 0.0  # most mass that one place has lost

    def _rows(self, read: list[int], fed: list[int]) -> torch.Tensor:
        rows = [self._reached(read + fed[:place]) for place in range(len(fed) + 1)]
        table = np.stack([reached.row for reached in rows])
        return torch.from_numpy(table / table.sum(-1, keepdims=True)).log()

    def _reached(self, ids: list[int]) -> _Reached:
        order = [self._vocabulary.token_bytes(id) for id in ids]
        data = b"".join(order)
        kept = 0
        while kept < min(len(data), len(self._path) - 1) and self._path[kept + 1][0] == data[kept]:
            kept += 1
        if not self._path:
            start = [_Cover((), 0, 1.0)]
            self._path.append((-1, _Reached(start, self._row(start, b""))))
        del self._path[kept + 1 :]
        for at in range(kept, len(data)):
            covers = self._extended(self._path[-1][1], data[: at + 1])
            self._path.append((data[at], _Reached(covers, self._row(covers, data[: at + 1]))))
        return self._path[-1][1]

    def _extended(self, before: _Reached, data: bytes) -> list[_Cover]:
        """Covers of `data`, which is one byte longer than what `before` covers."""
        said = before.row[data[-1]]
        if said <= 0:
            return [_Cover(tuple(self._reader_ids(data)), len(data), 1.0)]  # never said: begun anew
        covers: list[_Cover] = []
        for cover in before.covers:
            low, high = self._tree.starting(data[cover.end :])
            if low == high:
                continue
            share = cover.mass / said
            covers.append(_Cover(cover.ids, cover.end, share))
            told = self._probabilities(cover.ids)
            at = low  # tokens that are exactly this stand first among those that start with it
            while at < high and self._tree.lengths[at] == len(data) - cover.end:
                ids = (*cover.ids, int(self._tree.order[at]))
                if mass := share * float(told[at]):
                    covers.append(_Cover(ids, len(data), mass))
                at += 1
        return self._kept(covers, data)

    def _kept(self, covers: list[_Cover], data: bytes) -> list[_Cover]:
        """Those that are worth a pass. A cover's weight is what may still become of it."""
        own = None
        if self._model.canonical:
            own = tuple(self._reader_ids(data))
        weights = [
            cover.mass
            if cover.end == len(data)
            else cover.mass * self._mass_behind(cover.ids, data[cover.end :])
            for cover in covers
        ]
        whole = sum(weights)
        kept = [
            cover
            for cover, weight in zip(covers, weights, strict=True)
            if weight >= self._model.prune * whole
            and not (own is not None and cover.end == len(data) and cover.ids != own)
        ]
        if not kept:
            return [covers[int(np.argmax(weights))]] if covers else []
        lost = 1 - sum(w for c, w in zip(covers, weights, strict=True) if c in kept) / whole
        self.dropped = max(self.dropped, lost)
        return kept

    def _mass_behind(self, ids: tuple[int, ...], start: bytes) -> float:
        """What the model gives to tokens that are longer than `start` and begin with it."""
        low, high = self._tree.starting(start)
        while low < high and self._tree.lengths[low] == len(start):
            low += 1
        return float(self._probabilities(ids)[low:high].sum())

    def _row(self, covers: list[_Cover], data: bytes) -> NDArray[np.float64]:
        row = np.zeros(257)
        for cover in covers:
            start = data[cover.end :]
            low, high = self._tree.starting(start)
            told = self._probabilities(cover.ids)
            while low < high and self._tree.lengths[low] == len(start):
                low += 1
            depth = len(start)
            row[:256] += cover.mass * self._tree.by_next_byte(low, high, depth, told)
            if cover.end == len(data):
                row[256] += cover.mass * float(told[len(self._tree.order) :].sum())
        return row

    def _reader_ids(self, data: bytes) -> list[int]:
        return self._model.members[0].vocabulary.encode_bytes(data)

    def _probabilities(self, ids: tuple[int, ...]) -> NDArray[np.float64]:
        """What the model says behind `ids`: tokens in the tree's order, then the specials."""
        found = self._told.get(ids)
        if found is None:
            row = self._reader.rows(list(ids), [])[-1].double().exp().numpy()
            found = row[self._tree.all]
            self._told[ids] = found
            if len(self._told) > HELD:
                self._told.pop(next(iter(self._told)))
        return found

    def close(self) -> None:
        super().close()
        self._reader.close()


class _Tree:
    """The tokens of a vocabulary in the order of their bytes: those that start alike stand together."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        ids = [id for id in range(vocabulary.size) if id not in vocabulary.specials]
        pairs = sorted((vocabulary.token_bytes(id), id) for id in ids if vocabulary.token_bytes(id))
        self.tokens = [token for token, _ in pairs]
        self.order = np.array([id for _, id in pairs])
        self.all = np.concatenate([self.order, np.array(sorted(vocabulary.specials), dtype=np.int64)])
        self.lengths = np.array([len(token) for token in self.tokens])
        self._found: dict[bytes, tuple[int, int]] = {}
        self._next: dict[tuple[int, int, int], NDArray[np.int64]] = {}

    def starting(self, start: bytes) -> tuple[int, int]:
        """The range of tokens that begin with `start`."""
        if not start:
            return 0, len(self.tokens)
        found = self._found.get(start)
        if found is None:
            low = bisect_left(self.tokens, start)
            after = _successor(start)
            found = low, len(self.tokens) if after is None else bisect_left(self.tokens, after)
            self._found[start] = found
        return found

    def by_next_byte(self, low: int, high: int, depth: int, mass: NDArray[np.float64]) -> Any:
        """The mass of tokens low to high by their byte number `depth`: [256]."""
        key = (low, high, depth)
        bytes_ = self._next.get(key)
        if bytes_ is None:
            bytes_ = np.array([token[depth] for token in self.tokens[low:high]], dtype=np.int64)
            self._next[key] = bytes_
        return np.bincount(bytes_, weights=mass[low:high], minlength=256)


def tree_of(vocabulary: Vocabulary) -> _Tree:
    """Made once for each vocabulary."""
    if vocabulary not in _trees:
        _trees[vocabulary] = _Tree(vocabulary)
    return _trees[vocabulary]


@cache
def byte_vocabulary() -> Vocabulary:
    """256 bytes, id = byte, and an end: 256."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(vocab={byte_letter(byte): byte for byte in range(256)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<end>", special=True)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
    fast.name_or_path = "bytes"
    return Vocabulary(fast, 256)


def _successor(start: bytes) -> bytes | None:
    """The least bytes that are above all that begin with `start`; None if there are none."""
    trimmed = start.rstrip(b"\xff")
    return trimmed[:-1] + bytes([trimmed[-1] + 1]) if trimmed else None
