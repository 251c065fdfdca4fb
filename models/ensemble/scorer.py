"""Was an answer right? A logistic head on what a local model sees in question and answer (FrugalGPT's scorer,
arXiv:2305.05176, without an encoder of its own), fitted to answers that a member gave to texts whose right
answer is known. Its score is a probability: `cascade(…, accept=0.6)` means what it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from renga.errors import RengaError, UsageError
from renga.models.contract import LanguageModel, Prompt
from renga.models.ensemble.features import answer_features
from renga.models.ensemble.judges import Judge

Table = NDArray[np.float64]


@dataclass(frozen=True)
class Scorer:
    """P(right) = σ((x - mean) / spread @ weight + bias)."""

    mean: Table  # [features]
    spread: Table  # [features]
    weight: Table  # [features]
    bias: Table  # [1]

    def probabilities(self, features: Table) -> Table:
        """[answers, features] -> [answers]."""
        logits = (features - self.mean) / self.spread @ self.weight + self.bias
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -50, 50))))

    def save(self, path: Path) -> None:
        """Write it as safetensors."""
        from safetensors.numpy import save_file

        save_file(dict(vars(self)), str(path), metadata={"kind": "renga scorer"})

    @classmethod
    def load(cls, path: Path) -> Scorer:
        """Read what `save` wrote. Raises UsageError if there is none, RengaError if it is something else."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        if not path.is_file():
            raise UsageError(f"there is no scorer {path}", hint="renga train-scorer makes one")
        try:
            arrays = load_file(str(path))
            made = cls(*(arrays[name] for name in ("mean", "spread", "weight", "bias")))
        except (SafetensorError, KeyError) as error:
            raise RengaError(f"{path} is no scorer") from error
        if made.weight.ndim != 1 or {len(made.mean), len(made.spread)} != {len(made.weight)}:
            raise RengaError(f"{path} is a scorer whose parts do not fit each other")
        return made


def fit_scorer(features: Table, right: Table, *, decay: float = 1e-2) -> Scorer:
    """Fit it to features of answers [answers, features] and whether each was right [answers], 0 or 1.

    Raises UsageError if all are right, or none: there is nothing to tell apart.
    """
    if len(features) != len(right) or len(right) < 2:
        raise UsageError("a scorer is fitted to at least two answers")
    if right.min() == right.max():
        raise UsageError(
            f"all {len(right)} answers are {'right' if right[0] else 'wrong'}, and a scorer learns from both",
            hint="harder or easier texts",
        )
    mean, spread = features.mean(0), features.std(0) + 1e-6
    root = np.sqrt(features.shape[1])
    x = torch.from_numpy((features - mean) / spread / root)
    y = torch.from_numpy(right.astype(np.float64))
    with torch.inference_mode(False), torch.enable_grad():
        weight = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
        bias = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        search = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            search.zero_grad()
            logits = x @ weight + bias
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, y)
            loss = loss + decay * weight.square().sum() / len(y)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        search.step(closure)  # type: ignore[no-untyped-call]
    return Scorer(mean, spread, weight.detach().numpy() / root, bias.detach().numpy())


class Scored:
    """A judge made of a scorer and the local model it sees with."""

    def __init__(self, scorer: Scorer, model: LanguageModel) -> None:
        from renga.models.ensemble.route import seeing

        self._scorer = scorer
        self._eye = seeing(model)
        self.members = (model,)

    def score(self, prompt: Prompt, answers: Sequence[str]) -> list[float]:
        features = answer_features(self._eye, [(prompt.text, text) for text in answers])
        if features.shape[1] != len(self._scorer.weight):
            raise RengaError("the scorer was fitted with another model than the one it sees with here")
        return [float(value) for value in self._scorer.probabilities(features)]


def scored(file: str, model: LanguageModel) -> Judge:
    """Judges by the probability that the answer is right, from a scorer that `renga train-scorer` made, seen
    through the local `model`."""
    return Scored(Scorer.load(Path(file)), model)
