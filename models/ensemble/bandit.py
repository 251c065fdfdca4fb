"""A router that learns from what people say of its answers: LinUCB (arXiv:1003.0146), one arm per member.

Worth its while only where it is told whether an answer was right; what it was not told of stays unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from renga.errors import RengaError, UsageError

Table = NDArray[np.float64]
WIDTH = 32  # of the projection: arms learn from few answers


class Bandit:
    """Ridge regression of rewards for each member, and as much more as it does not know yet.

    Features are projected to WIDTH random directions (the same everywhere) and a constant.
    """

    def __init__(
        self,
        members: Sequence[str],
        grams: Table,
        sums: Table,
        *,
        boldness: float = 0.5,
        path: Path | None = None,
        pending: Table | None = None,
        arm: int = -1,
    ) -> None:
        self.members = tuple(members)
        self._grams = grams  # [members, width + 1, width + 1]
        self._sums = sums  # [members, width + 1]
        self._boldness = boldness
        self._path = path
        self._pending = pending
        self._arm = arm

    @classmethod
    def fresh(cls, members: Sequence[str], *, boldness: float = 0.5, path: Path | None = None) -> Bandit:
        """One that knows nothing."""
        width = WIDTH + 1
        grams = np.stack([np.eye(width)] * len(members))
        return cls(members, grams, np.zeros((len(members), width)), boldness=boldness, path=path)

    @classmethod
    def open(cls, path: Path, members: Sequence[str]) -> Bandit:
        """The one kept in `path`, or a fresh one that will be. Raises RengaError if it is no bandit of
        ours."""
        from safetensors import SafetensorError, safe_open

        if not path.exists():
            return cls.fresh(members, path=path)
        try:
            with safe_open(str(path), framework="numpy") as file:
                known = tuple((file.metadata() or {})["members"].split("\n"))
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no dict
                pending = arrays["pending"] if int(arrays["arm"][0]) >= 0 else None
                read = cls(
                    known,
                    arrays["grams"],
                    arrays["sums"],
                    path=path,
                    pending=pending,
                    arm=int(arrays["arm"][0]),
                )
        except (SafetensorError, KeyError, IndexError) as error:
            raise RengaError(f"{path} is no bandit's memory") from error
        if members and len(known) != len(members):
            raise UsageError(f"{path} has learned about {len(known)} models, not {len(members)}")
        return read

    def expected(self, features: Table) -> Table:
        """Expected reward of each member, and how much more it might be: [queries, members] summed."""
        x = _seen(features)
        scores = []
        for gram, total in zip(self._grams, self._sums, strict=True):
            inverse = np.linalg.inv(gram)
            width = np.sqrt(np.einsum("qi,ij,qj->q", x, inverse, x))
            scores.append(x @ inverse @ total + self._boldness * width)
        return np.stack(scores, 1)

    def probabilities(self, features: Table) -> Table:
        """A softmax of what is expected, for who fuses several."""
        scores = self.expected(features) * 4
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        return np.asarray(scores / scores.sum(-1, keepdims=True))

    def pick(self, features: Table) -> NDArray[np.int64]:
        """The member to ask; the last choice waits for `feedback`."""
        arms: NDArray[np.int64] = self.expected(features).argmax(-1)
        self._pending, self._arm = features[-1], int(arms[-1])
        self._keep()
        return arms

    def feedback(self, reward: float) -> str:
        """Learn how good the last answer was, from 0 to 1; the member that gave it. RengaError if there is
        none."""
        if self._pending is None or self._arm < 0:
            raise RengaError("there is no answer that feedback could be for")
        self.learn(self._pending, self._arm, reward)
        name, self._pending, self._arm = self.members[self._arm], None, -1
        self._keep()
        return name

    def learn(self, features: Table, arm: int, reward: float) -> None:
        """That `arm` got `reward` for a query."""
        x = _seen(features[None])[0]
        self._grams[arm] += np.outer(x, x)
        self._sums[arm] += reward * x

    def _keep(self) -> None:
        if self._path is None:
            return
        from safetensors.numpy import save_file

        arrays = {
            "grams": self._grams,
            "sums": self._sums,
            "arm": np.array([self._arm]),
            "pending": self._pending if self._pending is not None else np.zeros(1),
        }
        new = self._path.with_suffix(".new")
        save_file(arrays, str(new), metadata={"members": "\n".join(self.members)})
        new.replace(self._path)


def _seen(features: Table) -> Table:
    """[queries, WIDTH + 1]: features of unit length in random directions, and 1."""
    rng = np.random.default_rng(20_240_611)
    directions = rng.standard_normal((features.shape[1], WIDTH)) / np.sqrt(WIDTH)
    unit = features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-9)
    return np.concatenate([unit @ directions, np.ones((len(features), 1))], 1)
