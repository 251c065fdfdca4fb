"""How far is a router to be held back, and from which score on is the dear model asked?

Both are found on queries that were left out of the fitting: about those it was fitted to a router is surer
than it will be of any other, and a threshold on such scores sends too many or too few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from renga.errors import UsageError
from renga.models.ensemble.curves import curve
from renga.models.ensemble.router import Router, Table, fit_router, on_one_scale, rows_of

FOLDS = 5
SMOOTHINGS = (1.0, 0.3)  # shares of the domain's mean in a reward
DECAYS = (1e-1, 1e-2, 1e-3)


@dataclass(frozen=True)
class ByFolds:
    """A router fitted to all queries; `left_out`: what those of the folds say of queries they were not fitted
    to [queries, members]; what was chosen, and the mean reward of who is asked then, on one scale."""

    router: Router
    left_out: Table
    smoothing: float
    decay: float
    reward: float


def fit_by_folds(
    features: Table,
    rewards: Table,
    members: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    folds: int = FOLDS,
    seed: int = 0,
) -> ByFolds:
    """`fit_router` with the smoothing and the decay under which who is asked about queries left out earns
    most; of equals those that hold it back more."""
    found: ByFolds | None = None
    earned = on_one_scale(rewards, groups)
    every = np.arange(len(rewards))
    for smoothing in SMOOTHINGS if groups is not None else SMOOTHINGS[:1]:
        for decay in DECAYS:
            fit = partial(fit_router, smoothing=smoothing, decay=decay)
            said = left_out(features, rewards, members, groups=groups, folds=folds, seed=seed, fit=fit)
            reward = float(earned[every, said.argmax(1)].mean())
            if found is None or reward > found.reward + 1e-12:
                router = fit(features, rewards, members, groups=groups)
                found = ByFolds(router, said, smoothing, decay, reward)
    assert found is not None
    return found


def left_out(
    features: Table,
    rewards: Table,
    members: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    folds: int = FOLDS,
    seed: int = 0,
    fit: Callable[..., Router] = fit_router,
) -> Table:
    """Of every query what a router fitted to the other folds says: [queries, members]. Every fold has its
    share of each group."""
    folds = min(folds, len(rewards) // 2)
    if folds < 2:
        raise UsageError("a router judged on queries left out needs at least four")
    rng = np.random.default_rng(seed)
    fold = np.zeros(len(rewards), int)
    kinds = rows_of(groups if groups is not None else [""] * len(rewards))
    order = np.concatenate([rng.permutation(np.flatnonzero(rows)) for rows in kinds])
    fold[order] = np.arange(len(rewards)) % folds
    said = np.zeros(rewards.shape)
    for each in range(folds):
        out = fold == each
        mine = None if groups is None else [g for g, away in zip(groups, out, strict=True) if not away]
        router = fit(features[~out], rewards[~out], members, groups=mine)
        said[out] = router.probabilities(features[out])
    return said


def best_threshold(score: Table, weak: Table, strong: Table, most: float) -> float:
    """The threshold on `score` [queries] from which on the strong side is asked that does best with at most
    the share `most` of its calls; of equals the one with the fewest. weak, strong: how good either's answer
    is [queries]."""
    shares, quality = curve(score, weak, strong)
    ranked = np.sort(score)[::-1]
    # A threshold takes all queries of one score, or none.
    whole = np.concatenate([[True], ranked[:-1] > ranked[1:], [True]])
    allowed = whole & (shares <= most + 1e-12)
    at = int(np.flatnonzero(allowed & (quality >= quality[allowed].max() - 1e-12))[0])
    return float(ranked[at - 1]) if at else float("inf")
