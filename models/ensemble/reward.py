"""Reward models: heads on one frozen trunk, fitted to preferences; and how several of them make one score.

Bradley and Terry's loss on pairs of answers. Heads differ in seed and in the order and choice of the pairs
they see; what they disagree on is what none of them knows (arXiv:2310.02743). Scores are standardised per
head before they are put together, and the variance is the population's, so that `caution` means the same for
any number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from renga.errors import RengaError, UsageError
from renga.models.contract import LanguageModel, Prompt
from renga.models.ensemble.features import answer_features
from renga.models.ensemble.judges import Judge

Table = NDArray[np.float64]
How = Literal["mean", "worst", "cautious"]


@dataclass(frozen=True)
class Heads:
    """Linear rewards on standardised features: weights [heads, features]; `centre` and `scale` [heads] of the
    rewards on the texts they were fitted to."""

    mean: Table
    spread: Table
    weights: Table
    centre: Table
    scale: Table

    def rewards(self, features: Table) -> Table:
        """[answers, features] -> [heads, answers], standardised."""
        raw = self.weights @ ((features - self.mean) / self.spread).T
        return np.asarray((raw - self.centre[:, None]) / self.scale[:, None])

    def save(self, path: Path) -> None:
        """Write it as safetensors."""
        from safetensors.numpy import save_file

        save_file(dict(vars(self)), str(path), metadata={"kind": "renga reward heads"})

    @classmethod
    def load(cls, path: Path) -> Heads:
        """Read what `save` wrote. Raises UsageError if there is none, RengaError if it is something else."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        if not path.is_file():
            raise UsageError(f"there are no reward heads in {path}", hint="renga train-reward makes them")
        try:
            arrays = load_file(str(path))
            return cls(*(arrays[name] for name in ("mean", "spread", "weights", "centre", "scale")))
        except (SafetensorError, KeyError) as error:
            raise RengaError(f"{path} holds no reward heads") from error


def fit_heads(
    better: Table, worse: Table, *, heads: int = 5, seed: int = 0, decay: float = 1e-2, share: float = 0.7
) -> Heads:
    """Fit `heads` rewards to pairs: features of the answers that were preferred, and of those that were not,
    [pairs, features] both. Each head sees a `share` of the pairs, drawn by its own seed."""
    if better.shape != worse.shape or len(better) < 2:
        raise UsageError("rewards are fitted to at least two pairs of answers")
    both = np.concatenate([better, worse])
    mean, spread = both.mean(0), both.std(0) + 1e-6
    x = torch.from_numpy((better - worse) / spread / np.sqrt(better.shape[1]))
    fitted = []
    for head in range(heads):
        rng = np.random.default_rng([seed, head])
        seen = x[rng.permutation(len(x))[: max(2, round(share * len(x)))]]
        start = torch.from_numpy(0.1 * rng.standard_normal(x.shape[1]))
        fitted.append(_fitted(seen, start, decay))
    weights = np.stack(fitted) / np.sqrt(better.shape[1])
    raw = weights @ ((both - mean) / spread).T
    return Heads(mean, spread, weights, raw.mean(1), raw.std(1) + 1e-9)


def _fitted(pairs: torch.Tensor, start: torch.Tensor, decay: float) -> Table:
    with torch.inference_mode(False), torch.enable_grad():
        weight = start.clone().requires_grad_(True)
        search = torch.optim.LBFGS([weight], max_iter=60, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            search.zero_grad()
            loss = torch.nn.functional.softplus(-(pairs @ weight)).mean() + decay * weight.square().mean()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        search.step(closure)  # type: ignore[no-untyped-call]
        return weight.detach().numpy()


def put_together(rewards: Table, how: How = "mean", caution: float = 0.5) -> Table:
    """One score of each answer from [heads, answers]: the mean, the worst of the heads, or the mean less
    `caution` times their variance."""
    if how == "worst":
        return np.asarray(rewards.min(0))
    mean = rewards.mean(0)
    return np.asarray(mean - caution * rewards.var(0) if how == "cautious" else mean)


class Rewarding:
    """A judge made of heads and the local model they see with."""

    def __init__(self, heads: Heads, model: LanguageModel, how: How, caution: float) -> None:
        from renga.models.ensemble.route import seeing

        self._heads, self._how, self._caution = heads, how, caution
        self._eye = seeing(model)
        self.members = (model,)

    def score(self, prompt: Prompt, answers: Sequence[str]) -> list[float]:
        features = answer_features(self._eye, [(prompt.text, text) for text in answers])
        if features.shape[1] != len(self._heads.mean):
            raise RengaError(
                "the reward heads were fitted with another model than the one they see with here"
            )
        return [float(v) for v in put_together(self._heads.rewards(features), self._how, self._caution)]


def reward(file: str, model: LanguageModel, *, how: How = "mean", caution: float = 0.5) -> Judge:
    """Judges by reward heads that `renga train-reward` made, seen through the local `model`.

    how: the heads' "mean", the "worst" of them, or "cautious": the mean less `caution` times their variance.
    """
    return Rewarding(Heads.load(Path(file)), model, how, caution)
