"""Random numbers that belong to an element, not to a moment: counter-based, by (seed, tensor, input, index).

A merge that drops parameters at random then gives the same bytes whatever the threads, the shards, the size
of the blocks and the order of the inputs. Two inputs with one identity (copies of one model) drop the same
parameters, so that N copies merge into what one of them gives.

The generator is Philox-4x64 (Salmon et al., SC 2011), whose words numpy promises to keep: a counter yields
four words, eight numbers of 32 bits. About 3 ns an element.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_PER_COUNTER = 8


@dataclass(frozen=True)
class Draws:
    """The draws for one tensor (or module) `name` of inputs with these identities.

    An identity is a fingerprint where there is one, else any name that stays with the input when the order of
    the inputs changes.
    """

    seed: int
    name: str
    inputs: Sequence[str]

    def words(self, which: int, start: int, count: int) -> NDArray[np.uint32]:
        """Uniform uint32 of the elements start .. start + count of input `which` (flat, row by row)."""
        facts = "\0".join((str(self.seed), self.name, self.inputs[which])).encode()
        digest = hashlib.blake2b(facts, digest_size=16, person=b"renga merge draw").digest()
        first, skipped = divmod(start, _PER_COUNTER)
        counters = -(-(skipped + count) // _PER_COUNTER)
        words: NDArray[np.uint64] = _generator(digest, first).random_raw(4 * counters)
        return words.astype("<u8", copy=False).view("<u4")[skipped : skipped + count]


class _Own(threading.local):
    """A generator for each thread, set anew for every draw: making one asks the system for entropy, which
    takes as long as a small module's numbers."""

    def __init__(self) -> None:
        self.generator = np.random.Philox(0)


_own = _Own()


def _generator(key: bytes, counter: int) -> np.random.Philox:
    """Philox with this key (16 bytes), about to give the words of this counter."""
    generator = _own.generator
    generator.state = {
        "bit_generator": "Philox",
        "state": {"counter": np.array([counter, 0, 0, 0], np.uint64), "key": np.frombuffer(key, "<u8")},
        "buffer": np.zeros(4, np.uint64),
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }
    return generator
