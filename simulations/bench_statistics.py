"""Means over seeds, with 95 % intervals by Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """The mean of some runs, and the interval that holds the true mean with 95 % confidence.

    low and high are None when there is one run: nothing is then known of its chance.
    """

    mean: float
    low: float | None
    high: float | None
    values: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def estimate(values: Sequence[float | None]) -> Estimate | None:
    """Mean and interval of one value per run; None where a run has no value."""
    known = tuple(value for value in values if value is not None)
    if not known or len(known) < len(values):
        return None
    mean, n = math.fsum(known) / len(known), len(known)
    if n == 1:
        return Estimate(mean, None, None, known)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (n - 1))
    half = student_t(n - 1) * deviation / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, known)


def differences(ones: Sequence[float | None], others: Sequence[float | None]) -> list[float | None]:
    """one - other for every run: both saw the same seed, whose luck thereby cancels."""
    pairs = zip(ones, others, strict=True)
    return [None if one is None or other is None else one - other for one, other in pairs]


@cache
def student_t(freedom: int) -> float:
    """The t that a Student variable of `freedom` degrees stays within, either side, 95 times of 100."""
    low, high = 0.0, 16.0  # 12.7 for one degree is the largest
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < 0.95 else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """P(|T| <= t), exact for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(1 + odd, freedom, 2):  # k: 1, 3, … for even, 2, 4, … for odd degrees
        total += term
        term *= cosine**2 * k / (k + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
