"""Before inference: who is to answer? A linear router on a client's own features.

Zooter (arXiv:2311.08692): the rewards of all members' answers to a query, softened, are what the router's
softmax is fitted to by their KL divergence. With two members the softened rewards are HybridLLM's soft label
"as good as".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from renga.errors import RengaError, UsageError

Table = NDArray[np.float64]


@dataclass(frozen=True)
class Router:
    """softmax((x - mean) / spread @ weight + bias) over `members`, by name.

    threshold: of the last member's probability; from it on the last is asked, when there is a share of its
    calls to keep to (nan: the most probable member is asked).
    """

    members: tuple[str, ...]
    mean: Table  # [features]
    spread: Table  # [features]
    weight: Table  # [features, members]
    bias: Table  # [members]
    threshold: float = float("nan")

    def probabilities(self, features: Table) -> Table:
        """[queries, features] -> [queries, members]."""
        logits = (features - self.mean) / self.spread @ self.weight + self.bias
        logits = logits - logits.max(-1, keepdims=True)
        return np.asarray(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))

    def pick(self, features: Table) -> NDArray[np.int64]:
        """The member to ask for each query: [queries]."""
        p = self.probabilities(features)
        if np.isnan(self.threshold):
            return np.asarray(p.argmax(-1))
        first = p[:, :-1].argmax(-1)
        return np.asarray(np.where(p[:, -1] >= self.threshold, p.shape[1] - 1, first))

    def calibrated(self, features: Table, share: float) -> Router:
        """With the threshold at which the last member gets `share` of queries like these."""
        return replace(self, threshold=threshold_of(self.probabilities(features)[:, -1], share))

    def save(self, path: Path) -> None:
        """Write it as safetensors."""
        from safetensors.numpy import save_file

        arrays = {name: getattr(self, name) for name in ("mean", "spread", "weight", "bias")}
        arrays["threshold"] = np.array([self.threshold])
        save_file(arrays, str(path), metadata={"members": "\n".join(self.members), "kind": "renga router"})

    @classmethod
    def load(cls, path: Path) -> Router:
        """Read what `save` wrote. Raises UsageError if there is none, RengaError if it is something else."""
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            raise UsageError(f"there is no router {path}", hint="renga train-router makes one")
        try:
            with safe_open(str(path), framework="numpy") as file:
                told = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no dict
            members = tuple(told["members"].split("\n"))
            mean, spread, weight, bias = (arrays[name] for name in ("mean", "spread", "weight", "bias"))
            router = cls(members, mean, spread, weight, bias, float(arrays["threshold"][0]))
        except (SafetensorError, KeyError, IndexError) as error:
            raise RengaError(f"{path} is no router") from error
        if router.weight.shape != (len(router.mean), len(members)) or router.bias.shape != (len(members),):
            raise RengaError(f"{path} is a router whose parts do not fit each other")
        return router


def threshold_of(values: Table, share: float) -> float:
    """The threshold that `share` of `values` [queries] reach."""
    if not 0 <= share <= 1:
        raise UsageError(f"a share of calls lies between 0 and 1, not {share:g}")
    asked = round(share * len(values))
    return float(np.sort(values)[::-1][asked - 1]) if asked else float("inf")


def as_good_as(small: Table, large: Table, slack: float) -> Table:
    """How likely an answer of the small model is as good as one of the large, over all pairs of samples: the
    rewards of each [queries, samples] -> [queries] (HybridLLM's soft label; BEST-Route, arXiv:2506.22716).

    slack: how much worse still counts as good.
    """
    return np.asarray((small[:, :, None] >= large[:, None, :] - slack).mean((1, 2)))


def best_slack(small: Table, large: Table, steps: int = 40) -> float:
    """The slack that tells queries apart the most: the mean difference of two labels is largest. Without it
    all labels are near 0 where the gap between the models is wide."""
    gaps = (large[:, None, :] - small[:, :, None]).ravel()
    ways = np.unique(np.quantile(gaps.clip(min=0), np.linspace(0, 1, steps)))

    def apart(slack: float) -> float:
        labels = as_good_as(small, large, slack)
        return float(np.abs(labels[:, None] - labels[None, :]).mean())

    return float(max(ways, key=apart))  # of equals the smallest


def on_one_scale(rewards: Table, groups: Sequence[str] | None = None) -> Table:
    """Rewards [queries, members] less the query's mean, over the mean size of that in the query's domain:
    else the domain whose answers are longest, or hardest, would be the only one that counts."""
    scaled = rewards - rewards.mean(1, keepdims=True)
    for rows in rows_of(groups) if groups is not None else [np.ones(len(rewards), bool)]:
        scaled[rows] /= max(1e-9, float(np.abs(scaled[rows]).mean()))
    return np.asarray(scaled)


def rows_of(groups: Sequence[str]) -> list[NDArray[np.bool_]]:
    """Which queries belong to each group, in the order of their names: [queries] each."""
    return [np.array([each == group for each in groups]) for group in sorted(set(groups))]


def fit_router(
    features: Table,
    rewards: Table,
    members: Sequence[str],
    *,
    sharpness: float = 4.0,
    groups: Sequence[str] | None = None,
    smoothing: float = 0.3,
    decay: float = 1e-2,
    good_enough: Table | None = None,
) -> Router:
    """Fit a router to the rewards of every member's answers [queries, members], higher is better.

    groups: the domain of each query. Rewards are first put `on_one_scale`; a share `smoothing` of one is then
    its domain's mean, which takes out the noise of single rewards (tag-based enhancement). decay: of the
    weights, since there are more features than queries. good_enough: of two members, how likely the first's
    answer to each query is as good as the last's (`as_good_as`): what is fitted to instead of the rewards.
    """
    if features.shape[0] != rewards.shape[0] or rewards.shape[1] != len(members):
        raise UsageError("a router is fitted to one row of rewards for each query, a column for each member")
    if len(features) < 2:
        raise UsageError("a router needs at least two queries to be fitted")
    scaled = on_one_scale(rewards, groups)
    for rows in rows_of(groups or ()):
        scaled[rows] = (1 - smoothing) * scaled[rows] + smoothing * scaled[rows].mean(0)
    wanted = torch.from_numpy(scaled * sharpness / 2).softmax(-1)
    if good_enough is not None:
        if len(members) != 2 or good_enough.shape != (len(features),):
            raise UsageError("labels of 'as good as' are for two members, one for each query")
        wanted = torch.from_numpy(np.stack([good_enough, 1 - good_enough], 1))
    mean = features.mean(0)
    spread = features.std(0) + 1e-6
    x = torch.from_numpy((features - mean) / spread / np.sqrt(features.shape[1]))
    with torch.inference_mode(False), torch.no_grad():
        weight = torch.zeros((features.shape[1], len(members)), dtype=torch.float64)
        bias = torch.zeros(len(members), dtype=torch.float64)
        search = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            said = (x @ weight + bias).log_softmax(-1)
            error = (said.exp() - wanted) / len(x)
            weight.grad, bias.grad = x.T @ error + 2 * decay * weight, error.sum(0)
            return -(wanted * said).sum(-1).mean() + decay * weight.square().sum()

        search.step(closure)  # type: ignore[no-untyped-call]
    scale = np.sqrt(features.shape[1])
    return Router(tuple(members), mean, spread, weight.numpy() / scale, bias.numpy())
