"""Weights that change with the place in the model, and which modules are merged at all.

An input's weight is a number, or several: anchors spread evenly over the depth of the model, with straight
lines between them ("gradients"). Rules give other weights to the modules whose names they match; the last
rule that matches decides. A rule's pattern is one of the words below or a regular expression, found anywhere
in the name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from renga.errors import UsageError

Weight = float | Sequence[float]

# Words for kinds of modules, as architectures name them.
WORDS = {
    "attention": r"attn|attention|[qkvo]_proj$|query_key_value",
    "mlp": r"mlp|feed_forward|ffn|gate_proj$|up_proj$|down_proj$|fc[12]$",
    "linear": r"",  # every module of an adapter is linear
}


@dataclass(frozen=True)
class Schedule:
    """One weight per input; other weights per pattern; and, if given, patterns of what is merged."""

    weights: Sequence[Weight]
    rules: Mapping[str, Sequence[Weight]] = field(default_factory=dict)
    only: Sequence[str] = ()

    def __post_init__(self) -> None:
        for pattern, weights in {"": self.weights, **self.rules}.items():
            where = f" of {pattern!r}" if pattern else ""
            if len(weights) != len(self.weights):
                raise UsageError(f"{len(self.weights)} inputs but {len(weights)} weights{where}")
            for weight in weights:
                anchors = [weight] if isinstance(weight, int | float) else list(weight)
                if not anchors or not all(math.isfinite(a) for a in anchors):
                    raise UsageError(f"weight {weight!r}{where} is not finite", hint="weights are numbers")
        for pattern in (*self.rules, *self.only):
            _expression(pattern)

    def at(self, name: str, depth: float) -> list[float]:
        """The weights in module `name`, at `depth` from 0 (first block) to 1 (last)."""
        chosen = self.weights
        for pattern, weights in self.rules.items():
            if _expression(pattern).search(name):
                chosen = weights
        return [_between(weight, depth) for weight in chosen]

    def ever(self, place: int) -> bool:
        """Whether that input has a weight anywhere."""
        return any(np.any(weights[place]) for weights in (self.weights, *self.rules.values()))

    def merges(self, name: str) -> bool:
        """Whether the module is merged."""
        return not self.only or any(_expression(pattern).search(name) for pattern in self.only)


def block(name: str) -> int | None:
    """The number of the block that a module stands in, None outside of blocks."""
    return next((int(part) for part in name.split(".") if part.isdigit()), None)


def _between(weight: Weight, depth: float) -> float:
    if isinstance(weight, int | float):
        return float(weight)
    return float(np.interp(depth, np.linspace(0, 1, len(weight)), list(weight)))


def _expression(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(WORDS.get(pattern, pattern))
    except re.error as error:
        raise UsageError(
            f"pattern {pattern!r} can't be read: {error}",
            hint=f"a regular expression, or one of {', '.join(WORDS)}",
        ) from error
