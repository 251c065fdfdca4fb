"""What detectors' scores are worth, learned from answers that were judged.

A logistic regression on the worst score of each detector. It is small on purpose: a queue of a few dozen
verdicts is what there is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from renga.errors import RengaError, UsageError


@dataclass(frozen=True)
class Verdict:
    """A judged answer. scores: the worst of each detector; right: what the judge said."""

    question: str
    answer: str
    scores: Mapping[str, float]
    right: bool


@dataclass(frozen=True)
class Weights:
    """A combination of detectors: P(wrong) = sigmoid(bias + sum weight · score). A detector that said nothing
    counts with the mean it had among the verdicts."""

    bias: float
    weights: dict[str, float]
    means: dict[str, float]

    def score(self, by_detector: Mapping[str, float]) -> float:
        total = self.bias + math.fsum(
            weight * by_detector.get(name, self.means[name]) for name, weight in self.weights.items()
        )
        return 1 / (1 + math.exp(-max(-700.0, min(700.0, total))))

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Weights:
        """Raises UsageError for a file that holds none."""
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            numbers = [held["bias"], *held["weights"].values(), *held["means"].values()]
            if held["weights"].keys() != held["means"].keys() or not all(map(math.isfinite, numbers)):
                raise ValueError
            return cls(held["bias"], held["weights"], held["means"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise UsageError(
                f"{path}: no weights of detectors", hint="renga review --train makes them"
            ) from None


def fit(verdicts: Sequence[Verdict], *, ridge: float = 1.0) -> Weights:
    """The weights that make the verdicts likeliest, a ridge on all but the bias.

    Raises RengaError unless there are verdicts of both kinds.
    """
    wrong = np.array([not verdict.right for verdict in verdicts], float)
    if not 0 < wrong.sum() < len(wrong):
        raise RengaError("only one kind of verdict so far", hint="review until some are right and some wrong")
    names = sorted({name for verdict in verdicts for name in verdict.scores})
    if not names:
        raise RengaError("no detector had a word on these answers", hint="guard them with detectors")
    held = [[verdict.scores[name] for verdict in verdicts if name in verdict.scores] for name in names]
    means = {name: float(np.mean(column)) for name, column in zip(names, held, strict=True)}
    table = np.array([[v.scores.get(name, means[name]) for name in names] for v in verdicts])
    bias, weights = logistic(table, wrong, ridge)
    return Weights(bias, dict(zip(names, map(float, weights), strict=True)), means)


def logistic(table: np.ndarray, labels: np.ndarray, ridge: float = 1.0) -> tuple[float, np.ndarray]:
    """Bias and weights of a logistic regression [n, d] -> [n], by Newton's steps; `ridge` on the weights."""
    design = np.column_stack([np.ones(len(table)), table])
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 1e-6
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        gradient = design.T @ (labels - p) - penalty * beta
        curvature = (design * (p * (1 - p))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        size = np.abs(step).max()
        beta += step * min(1.0, 5.0 / max(size, 1e-12))  # a far step of Newton's may overshoot
        if size < 1e-9:
            break
    return float(beta[0]), beta[1:]
