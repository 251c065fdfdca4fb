"""Predictors of an attribute (a topic, a domain, a tone) from the beginning of a text, made by
`renga train-attribute`.

A logistic regression on hashed pieces of three to five bytes: it is asked for two hundred ways to go on at
every place, so it must be cheap, and bytes are what all vocabularies share. It is fitted on beginnings of
texts, of every length, for that is what it will see.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from renga.errors import RengaError, UsageError

BITS = 16
SIZES = (3, 4, 5)
EDGE = b" "  # before a text: where words begin
MOST_BYTES = 4096  # of a text's end that are looked at
FORMAT = "renga attribute 1"


@dataclass(frozen=True)
class Attribute:
    """Log-odds of an attribute: bias + sum of weights / sqrt(1 + pieces). weights: float32 [2 ** BITS]."""

    name: str
    bias: float
    weights: NDArray[np.float32]

    def odds(self, text: bytes) -> float:
        """Natural log-odds that a text beginning with `text` has the attribute."""
        return float(self.odds_after(text, [b""])[0])

    def odds_after(self, text: bytes, ways: Sequence[bytes]) -> NDArray[np.float64]:
        """Log-odds of `text` continued in each of `ways`: [ways]."""
        whole = (EDGE + text.lower())[-MOST_BYTES:]
        known = self._wide[pieces(whole)]
        total, count = float(known.sum()), len(known)
        tail = whole[-(max(SIZES) - 1) :]
        odds = np.empty(len(ways))
        for i, way in enumerate(ways):
            more = self._wide[pieces(tail + way.lower(), behind=len(tail))]
            odds[i] = self.bias + (total + float(more.sum())) / np.sqrt(1 + count + len(more))
        return odds

    @cached_property
    def _wide(self) -> NDArray[np.float64]:
        return self.weights.astype(np.float64)

    def save(self, path: Path) -> None:
        """Write it as safetensors. Raises RengaError if it can't be written."""
        from safetensors.numpy import save_file

        facts = {"format": FORMAT, "name": self.name, "bias": repr(self.bias)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({"weights": self.weights}, path, metadata={"renga": json.dumps(facts)})
        except OSError as error:
            raise RengaError(f"can't write {path}: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path) -> Attribute:
        """Raises UsageError for a file that holds none."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                facts = json.loads((file.metadata() or {})["renga"])
                weights = file.get_tensor("weights")
            bias = float(facts["bias"])
            if facts["format"] != FORMAT or weights.shape != (2**BITS,) or weights.dtype != np.float32:
                raise ValueError
            if not (np.isfinite(weights).all() and np.isfinite(bias)):
                raise ValueError
            return cls(str(facts["name"]), bias, weights)
        except (OSError, SafetensorError, KeyError, ValueError, TypeError):
            raise UsageError(f"{path}: no attribute in it", hint="renga train-attribute makes them") from None


def pieces(text: bytes, behind: int = 0) -> NDArray[np.int64]:
    """Buckets of all pieces of `text` that end behind its first `behind` bytes."""
    data = np.frombuffer(text, np.uint8).astype(np.uint64)
    found = []
    for size in SIZES:
        if len(data) < size:
            continue
        word = np.full(len(data) - size + 1, np.uint64(size))
        for place in range(size):
            word = word * np.uint64(0x100000001B3) ^ data[place : len(data) - size + 1 + place]
        word = (word ^ (word >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        found.append(((word >> np.uint64(64 - BITS)).astype(np.int64))[max(0, behind - size + 1) :])
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def train(
    name: str,
    having: Sequence[str],
    lacking: Sequence[str],
    *,
    seed: int = 0,
    beginnings: int = 6,
    epochs: int = 12,
    rate: float = 0.5,
    decay: float = 1e-4,
) -> Attribute:
    """Fit a predictor on texts with and without the attribute, both kinds weighing the same (Adagrad).

    beginnings: cut out of each text at random, the whole among them. Raises UsageError when a side is empty.
    """
    having, lacking = [t for t in having if t.strip()], [t for t in lacking if t.strip()]
    if not having or not lacking:
        raise UsageError("an attribute needs texts that have it and texts that lack it")
    rng = np.random.default_rng(seed)
    rows: list[tuple[NDArray[np.int64], float, float]] = []
    for label, texts in ((1.0, having), (0.0, lacking)):
        weight = (len(having) + len(lacking)) / (2 * len(texts))
        for text in texts:
            raw = EDGE + text.encode().lower()[:MOST_BYTES]
            cuts = {len(raw), *rng.integers(4, max(5, len(raw)), size=beginnings - 1).tolist()}
            rows += [(pieces(raw[:cut]), label, weight) for cut in sorted(cuts)]
    weights, bias = np.zeros(2**BITS), 0.0
    squares, bias_squares = np.full(2**BITS, 1e-6), 1e-6
    for _ in range(epochs):
        for i in rng.permutation(len(rows)):
            found, label, weight = rows[i]
            scale = 1 / np.sqrt(1 + len(found))
            p = 1 / (1 + np.exp(-np.clip(bias + weights[found].sum() * scale, -30, 30)))
            error = weight * (p - label)
            where, times = np.unique(found, return_counts=True)
            step = error * scale * times + decay * weights[where]
            squares[where] += step**2
            weights[where] -= rate * step / np.sqrt(squares[where])
            bias_squares += error**2
            bias -= rate * error / np.sqrt(bias_squares)
    return Attribute(name, float(bias), weights.astype(np.float32))


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """The share of pairs in which the positive is above the negative, ties counting half."""
    if not positive or not negative:
        return float("nan")
    scores = np.concatenate([np.asarray(positive, float), np.asarray(negative, float)])
    order = scores.argsort(kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.bincount(inverse, ranks) / counts)[inverse]
    n = len(positive)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * len(negative)))
