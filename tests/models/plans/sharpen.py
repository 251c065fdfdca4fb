"""A strategy as a package of somebody else's would have it (docs/plans.md shows this file)."""

from collections.abc import Sequence

import torch

from renga.models.composed import Composed, Places
from renga.models.contract import LanguageModel


class Sharpened:
    def __init__(self, power: float) -> None:
        self.power = power

    def __call__(self, rows: Sequence[torch.Tensor], places: Places) -> torch.Tensor:
        return (self.power * rows[0]).log_softmax(-1)


def sharpen(model: LanguageModel, *, power: float = 1.5) -> LanguageModel:
    """The model's law to a power: surer of what it is sure of."""
    return Composed([model], Sharpened(power))
