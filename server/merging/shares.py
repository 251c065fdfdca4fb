"""What a weight means, in every method of merging.

Weights are relative: an input counts with its share w_k / sum w, and the merged update is a mean, not a sum.
So one input comes back as it is, N copies give the copy, and weights 1, 1 mean the same as 5, 5. Inputs of
weight zero are left out before anything else: they leave no trace. Task arithmetic's sum (and forgetting, by
a negative weight) is had by `normalise=False`: weights are then taken as they stand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from renga.errors import UsageError


def shares(weights: Sequence[float], inputs: int, *, normalise: bool = True) -> NDArray[np.float64]:
    """The factor of each input: float64 [inputs], of sum 1 unless `normalise` is off.

    Raises UsageError when there are more or fewer weights than inputs, when one is not finite, or when they
    have nothing to be shares of (their sum is zero or less; with `normalise` off, all are zero).
    """
    if len(weights) != inputs:
        raise UsageError(
            f"{inputs} inputs but {len(weights)} weights",
            hint="give one weight for each input, in their order",
        )
    given = np.asarray(weights, np.float64)
    if not np.isfinite(given).all():
        raise UsageError(f"weights {list(weights)} are not all finite")
    total = math.fsum(weights)
    if not given.any() or (normalise and total <= 0):
        raise UsageError(
            f"weights {list(weights)} sum to {total:g}: no input has a share",
            hint="give positive weights, or turn normalise off to take weights as they stand",
        )
    return given / total if normalise else given
