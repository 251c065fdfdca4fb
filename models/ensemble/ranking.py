"""Which of two answers is better? A head on a local model that reads both at once (PairRanker,
arXiv:2306.02561, on a frozen model): trained on pairs of which one is known to be better.

Every pair is read in both orders, and the head sees the difference: what a model makes of standing first
cancels by construction, in training as in use.
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
from renga.models.ensemble.judges import COMPARE, Judge
from renga.models.local import LocalModel

Table = NDArray[np.float64]
TOGETHER = 16  # pairs of answers read in one batch


@dataclass(frozen=True)
class Ranker:
    """How much rather the first of two, in logits: x / spread @ weight, x being the difference of both
    orders."""

    spread: Table  # [features]
    weight: Table  # [features]

    def prefers(self, differences: Table) -> Table:
        """[pairs, features] -> [pairs], above 0 for the first."""
        return np.asarray(differences / self.spread @ self.weight)

    def save(self, path: Path) -> None:
        """Write it as safetensors."""
        from safetensors.numpy import save_file

        save_file(dict(vars(self)), str(path), metadata={"kind": "renga ranker"})

    @classmethod
    def load(cls, path: Path) -> Ranker:
        """Read what `save` wrote. Raises UsageError if there is none, RengaError if it is something else."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        if not path.is_file():
            raise UsageError(f"there is no ranker {path}", hint="renga train-ranker makes one")
        try:
            arrays = load_file(str(path))
            made = cls(arrays["spread"], arrays["weight"])
        except (SafetensorError, KeyError) as error:
            raise RengaError(f"{path} is no ranker") from error
        if made.weight.ndim != 1 or made.weight.shape != made.spread.shape:
            raise RengaError(f"{path} is a ranker whose parts do not fit each other")
        return made


@torch.inference_mode()
def differences(model: LocalModel, pairs: Sequence[tuple[str, str, str]]) -> Table:
    """What a model sees in (prompt, one, other) less what it sees in (prompt, other, one), where its answer
    would begin: [pairs, width]. What the questions about one prompt begin with is read once."""
    weights = model.weights
    found = [np.zeros(1)] * len(pairs)
    for prompt in dict.fromkeys(prompt for prompt, _, _ in pairs):
        mine = [i for i, pair in enumerate(pairs) if pair[0] == prompt]
        for start in range(0, len(mine), TOGETHER):
            some = mine[start : start + TOGETHER]
            ways = [pairs[i][1:] for i in some]
            ways += [(other, one) for one, other in ways]
            asked = [COMPARE.format(question=prompt, one=one, other=other) for one, other in ways]
            with weights.lock:
                weights.wear(model.adapter)
                rows = weights.states([weights.prompt_ids(text) for text in asked]).double().numpy()
            for i, row in zip(some, rows[: len(some)] - rows[len(some) :], strict=True):
                found[i] = row
    return np.stack(found) if found else np.zeros((0, 1))


def fit_ranker(better_first: Table, *, decay: float = 1e-2) -> Ranker:
    """Fit a head to `differences` of pairs whose first answer is the better: [pairs, features]."""
    if len(better_first) < 2:
        raise UsageError("a ranker is fitted to at least two pairs of answers")
    spread = np.sqrt((better_first**2).mean(0)) + 1e-6  # turned round, a pair has the mean 0
    root = np.sqrt(better_first.shape[1])
    x = torch.from_numpy(better_first / spread / root)
    with torch.inference_mode(False), torch.enable_grad():
        weight = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
        search = torch.optim.LBFGS([weight], max_iter=100, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            search.zero_grad()
            loss = torch.nn.functional.softplus(-(x @ weight)).mean()
            loss = loss + decay * weight.square().sum() / len(x)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        search.step(closure)  # type: ignore[no-untyped-call]
    return Ranker(spread, weight.detach().numpy() / root)


class Ranked:
    """A judge made of a ranker and the local model it reads with: the mean preference over all pairs."""

    def __init__(self, ranker: Ranker, model: LanguageModel) -> None:
        from renga.models.ensemble.route import seeing

        self._ranker = ranker
        self._eye = seeing(model)
        self.members = (model,)

    def score(self, prompt: Prompt, answers: Sequence[str]) -> list[float]:
        different = list(dict.fromkeys(answers))
        places = [(i, j) for i in range(len(different)) for j in range(i + 1, len(different))]
        seen = differences(self._eye, [(prompt.text, different[i], different[j]) for i, j in places])
        if places and seen.shape[1] != len(self._ranker.weight):
            raise RengaError("the ranker was fitted with another model than the one it reads with here")
        wins = np.zeros(len(different))
        for (i, j), by in zip(places, self._ranker.prefers(seen) if places else (), strict=True):
            wins[i] += by
            wins[j] -= by
        mean = dict(zip(different, wins / max(1, len(different) - 1), strict=True))
        return [float(mean[text]) for text in answers]


def ranked(file: str, model: LanguageModel) -> Judge:
    """Judges by comparing every two answers, in both orders, with a head that `renga train-ranker` made and
    the local `model`."""
    return Ranked(Ranker.load(Path(file)), model)
