"""Every word of a free text replaced by a random one: metric differential privacy, and what it is worth.

The mechanism is the exponential one over a fixed public list of words, each with a unit vector (the edge model's
token embeddings; arXiv 2310.12214 has a remote model answer such text, and a local one rebuild the answer):

    P[y | x] proportional to exp(-epsilon * |x - y| / 2)

so that for any two words x, x' and any outcome y, P[y | x] <= exp(epsilon * |x - x'|) P[y | x']: half of it by the
triangle inequality in the numerator, half in the sum that normalises. Two unit vectors are at most 2 apart. Words are
drawn independently, and n of them compose: texts of as many words are at most n * 2 * epsilon apart. That is the
whole claim. How many words there are, and the marks between them, are not hidden; a value that is said often is
drawn anew each time, which the sum above counts; and at an epsilon that keeps text readable the sum is large.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from renga.errors import UsageError

FARTHEST = 2.0
"""The largest distance between unit vectors."""

_WORD = re.compile(r"\w+")
_MARK = re.compile(r"[^\w.,;:?!\n]+")
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Perturbed:
    """What may leave; how many words were drawn; and the privacy loss of all of them together, at worst."""

    text: str
    words: int
    epsilon: float


@dataclass(frozen=True)
class Mechanism:
    """words: the outcomes, chosen without a look at any text. vectors [words, width]: of length 1.
    Raises UsageError for what could not hold the bound."""

    words: Sequence[str]
    vectors: Vector
    epsilon: float

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < float("inf"):
            raise UsageError("epsilon is a number above 0")
        if len(self.words) != len(self.vectors) or not len(self.words):
            raise UsageError("every word needs a vector")
        if not np.allclose(np.linalg.norm(self.vectors, axis=1), 1.0):
            raise UsageError("the vectors of words must have length 1")

    def law(self, vector: Vector) -> Vector:
        """The probability of every outcome for a word with this vector, which is brought to length 1."""
        x = unit(vector)
        squares = np.maximum(0.0, 2.0 - 2.0 * (self.vectors @ x))
        weights = np.exp(-self.epsilon * np.sqrt(squares) / 2)
        probabilities: Vector = weights / weights.sum()
        return probabilities

    def draw(self, vector: Vector, random: Random) -> str:
        """One outcome."""
        edges = np.cumsum(self.law(vector))
        return self.words[
            min(int(np.searchsorted(edges, random.random() * edges[-1], "right")), len(edges) - 1)
        ]

    def perturb(self, text: str, embed: Callable[[str], Vector], random: Random) -> Perturbed:
        """Every word drawn anew, names and numbers too; of what stands between, only the common marks stay."""
        count = 0

        def drawn(match: re.Match[str]) -> str:
            nonlocal count
            count += 1
            return self.draw(embed(match[0]), random)

        between = _MARK.sub(" ", text)
        return Perturbed(_WORD.sub(drawn, between).strip(), count, count * FARTHEST * self.epsilon)


def unit(vector: Vector) -> Vector:
    """The same direction, of length 1; the zero vector becomes the first axis."""
    wide = np.asarray(vector, dtype=np.float64)
    length = float(np.linalg.norm(wide))
    if length < 1e-12 or not np.isfinite(length):
        wide = np.zeros_like(wide)
        wide[0] = length = 1.0
    made: Vector = wide / length
    return made
