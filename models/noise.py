"""The same Gumbel noise on both sides: drafter and target that add it and take the argmax agree as often as
their laws allow, and the text depends on seed and target alone (arXiv:2408.07978).

The noise of a token at a place is a hash of (seed, byte offset in the answer, tokens without bytes already
emitted at that offset, the token's bytes, its ordinal among the ids with the same bytes); special tokens
count by name. No two ids at a place share it, and no two places: with shared noise the law would be wrong.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from renga.errors import RengaError
from renga.models.contract import Sampling
from renga.models.sampling import restricted
from renga.models.vocabulary import Vocabulary

_keys: WeakKeyDictionary[Vocabulary, NDArray[np.uint64]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Place:
    """Where in the answer a token is to stand: `offset` bytes in, behind `silent` tokens without bytes that
    were emitted at that offset."""

    offset: int = 0
    silent: int = 0

    def after(self, vocabulary: Vocabulary, id: int) -> Place:
        """The place behind `id`."""
        length = int(vocabulary.lengths()[id])
        return Place(self.offset + length, 0) if length else Place(self.offset, self.silent + 1)


def token_keys(vocabulary: Vocabulary) -> NDArray[np.uint64]:
    """A number for each id that is the same for the same token in every vocabulary: uint64 [size].

    Raises RengaError if two ids fall on one number, which is less likely than a broken disk.
    """
    found = _keys.get(vocabulary)
    if found is not None:
        return found
    names = vocabulary.special_names
    seen: dict[bytes, int] = {}
    keys = np.empty(vocabulary.size, np.uint64)
    for id in range(vocabulary.size):
        text = b"special\0" + names[id].encode() if id in names else b"bytes\0" + vocabulary.token_bytes(id)
        ordinal = seen[text] = seen.get(text, -1) + 1
        digest = hashlib.blake2b(ordinal.to_bytes(4, "little") + text, digest_size=8, person=b"renga token")
        keys[id] = int.from_bytes(digest.digest(), "little")
    if len(np.unique(keys)) != len(keys):
        raise RengaError(f"two tokens of {vocabulary.name} can't be told apart by their noise")
    _keys[vocabulary] = keys
    return keys


def gumbel(keys: NDArray[np.uint64], seed: int, place: Place) -> NDArray[np.float64]:
    """Standard Gumbel noise for every token at a place: float64, shaped as `keys`, always finite."""
    facts = b"".join(n.to_bytes(8, "little") for n in (seed % 2**64, place.offset, place.silent))
    drawn = hashlib.blake2b(facts, digest_size=16, person=b"renga place").digest()
    first, second = (np.uint64(int.from_bytes(part, "little")) for part in (drawn[:8], drawn[8:]))
    # Each step is one-to-one, so tokens that differ before differ behind.
    word = _mixed(_mixed(keys ^ first) + second)
    # 52 bits and a half: neither 0 nor 1, so that both logarithms are finite.
    uniform = ((word >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return -np.log(-np.log(uniform))


def chosen(row: torch.Tensor, vocabulary: Vocabulary, sampling: Sampling, place: Place) -> int:
    """The token that a model with log-probabilities `row` [vocabulary] emits at `place`.

    Over the seeds its law is that of `row` under `sampling`; at temperature 0 it is the most probable token.
    Of equals the lowest id.
    """
    if sampling.temperature <= 0:
        return int(row.numpy().argmax())
    law = restricted(row, sampling).double().numpy()
    return int((law + noise_at(vocabulary, sampling.seed, place)).argmax())


@lru_cache(maxsize=8)
def noise_at(vocabulary: Vocabulary, seed: int, place: Place) -> NDArray[np.float64]:
    """`gumbel` for all ids. Kept for a while: drafter and target ask for the same, one after the other."""
    noise = gumbel(token_keys(vocabulary), seed, place)
    noise.flags.writeable = False
    return noise


def verified(
    rows: torch.Tensor, ids: list[int], vocabulary: Vocabulary, sampling: Sampling, place: Place
) -> list[int]:
    """What a model with `rows` [len(ids) + 1, vocabulary] emits: its own token at each place, for as long as
    `ids` agree and no special ends the answer. At least one."""
    emitted: list[int] = []
    for row, drafted in zip(rows, [*ids, None], strict=True):
        own = chosen(row, vocabulary, sampling, place)
        emitted.append(own)
        if own != drafted or own in vocabulary.specials:
            break
        place = place.after(vocabulary, own)
    return emitted


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection of 64 bits in which every bit of the input moves every bit of the output."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
