"""Token embeddings of two vocabularies in one space, by the tokens that both have.

Rows of a donor's embedding [tokens, d_donor] are carried into the receiver's space [tokens, d] by a linear
map that is fitted on the shared tokens, after both are centred on these. Two maps:

* `orthogonal`: the (semi-)orthogonal Q that minimises |X Q - Y| (Procrustes; Schönemann 1966), times the one
scale
  that then fits best. Angles between tokens are kept, nothing can be blown up.
* `least_squares`: ridge regression. Fits the shared tokens better, and shrinks what it is unsure of.

A linear map carries only what both spaces express linearly. How much that is, `explained` says on tokens that
the fit hasn't seen; docs/benchmarks.md has it for two real models. Special tokens mean something else in
every model: leave them out of the shared ones. Costs O(shared d_donor d + d^3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from renga.errors import UsageError, did_you_mean

F64 = NDArray[np.float64]
MAPS = ("orthogonal", "least_squares")
_RIDGE = 1e-2  # of the donor's mean variance per dimension


@dataclass(frozen=True)
class Bridge:
    """x in the donor's space is (x - origin) @ matrix + target in the receiver's."""

    origin: F64
    matrix: F64  # [d_donor, d]
    target: F64

    def carry(self, rows: NDArray[np.floating]) -> F64:
        """Rows of the donor [n, d_donor] in the receiver's space [n, d]."""
        carried: F64 = (np.asarray(rows, np.float64) - self.origin) @ self.matrix + self.target
        return carried


def shared(receiver: Sequence[bytes], donor: Sequence[bytes]) -> NDArray[np.int64]:
    """Pairs of ids [pairs, 2] (receiver's, donor's) that stand for the same bytes.

    Empty tokens, and bytes that several ids of one vocabulary stand for, are no ground to build on.
    """
    places = [_once(receiver), _once(donor)]
    both = sorted(places[0].keys() & places[1].keys())
    return np.array([[places[0][token], places[1][token]] for token in both], np.int64).reshape(-1, 2)


def _once(tokens: Sequence[bytes]) -> dict[bytes, int]:
    seen: dict[bytes, int] = {}
    twice = set()
    for number, token in enumerate(tokens):
        if token in seen:
            twice.add(token)
        seen[token] = number
    return {token: number for token, number in seen.items() if token and token not in twice}


def bridge(donor: NDArray[np.floating], receiver: NDArray[np.floating], kind: str = "orthogonal") -> Bridge:
    """The map that carries rows `donor` [n, d_donor] nearest to their fellows `receiver` [n, d].

    Raises UsageError for an unknown kind, and when there are fewer pairs than dimensions to fit.
    """
    if kind not in MAPS:
        raise UsageError(f"unknown map {kind!r}", hint=did_you_mean(kind, MAPS))
    x, y = np.asarray(donor, np.float64), np.asarray(receiver, np.float64)
    if len(x) != len(y) or len(x) <= max(x.shape[1], y.shape[1]):
        raise UsageError(
            f"{len(x)} shared tokens are too few for spaces of {x.shape[1]} and {y.shape[1]} dimensions",
            hint="the two vocabularies have too little in common",
        )
    origin, target = x.mean(axis=0), y.mean(axis=0)
    x, y = x - origin, y - target
    if kind == "least_squares":
        gram = x.T @ x
        gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram) / len(gram)
        return Bridge(origin, np.linalg.solve(gram, x.T @ y), target)
    u, values, vt = np.linalg.svd(x.T @ y, full_matrices=False)
    turned = u @ vt
    size = np.square(x @ turned).sum()
    return Bridge(origin, turned * (values.sum() / size if size > 0 else 0.0), target)


def explained(carried: NDArray[np.floating], true: NDArray[np.floating]) -> float:
    """The share of the variance of `true` around its mean that `carried` gets right; 0 is what the mean
    gets."""
    centred = true - true.mean(axis=0)
    return 1 - float(np.square(true - carried).sum() / np.square(centred).sum())


def transplanted(
    receiver: NDArray[np.floating],
    receiver_tokens: Sequence[bytes],
    donor: NDArray[np.floating],
    donor_tokens: Sequence[bytes],
    *,
    kind: str = "orthogonal",
) -> NDArray[np.float32]:
    """An embedding for the donor's vocabulary in the receiver's space: float32 [donor's tokens, d].

    Tokens that both have keep the receiver's own row; all others are the donor's, carried. Raises UsageError
    as `bridge`.
    """
    pairs = shared(receiver_tokens, donor_tokens)
    fitted = bridge(donor[pairs[:, 1]], receiver[pairs[:, 0]], kind)
    rows = fitted.carry(donor).astype(np.float32)
    rows[pairs[:, 1]] = receiver[pairs[:, 0]]
    return rows
