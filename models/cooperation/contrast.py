"""Contrast: what an expert finds likely and an amateur does not.

Contrastive decoding (arXiv:2210.15097, and with one softmax and a strength arXiv:2309.09117): both are a
function of two rows, over the tokens that the expert itself holds plausible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from renga.errors import UsageError
from renga.models.composed import Composed, Places, want_of
from renga.models.contract import LanguageModel, Want

FLOOR = -100.0  # nats; an amateur that excludes a token says no more than this of it


@dataclass(frozen=True)
class Contrast:
    """(1 + strength)·expert − strength·amateur over the plausible tokens, normalised; the two rows in order.

    ratio: expert − amateur instead, as the first paper has it; `strength` is then not used.
    """

    strength: float = 0.5
    plausibility: float = 0.1
    temperature: float = 1.0  # of the amateur
    ratio: bool = False

    def __call__(self, rows: Sequence[torch.Tensor], places: Places) -> torch.Tensor:
        expert, amateur = rows
        if self.temperature != 1.0:
            amateur = torch.log_softmax(amateur / self.temperature, dim=-1)
        weight, less = (1.0, 1.0) if self.ratio else (1.0 + self.strength, self.strength)
        score = weight * expert - less * amateur.clamp(min=FLOOR)
        return among(score, expert, self.plausibility)


def contrast(
    expert: LanguageModel,
    amateur: LanguageModel,
    *,
    strength: float = 0.5,
    plausibility: float = 0.1,
    temperature: float = 1.0,
    ratio: bool = False,
    rows: int = 64,
    wants: Sequence[Want] | None = None,
) -> Composed:
    """The model that says what `expert` knows beyond `amateur`; see `Contrast`.

    rows: how many best tokens are asked of a model that is elsewhere (0: all); the contrast with that
    truncated row is then, by definition, the target. wants: the same by hand, for either. Raises UsageError
    for numbers without meaning, and for unlike vocabularies.
    """
    if not (math.isfinite(strength) and strength >= 0 and 0 < temperature < math.inf):
        raise UsageError(f"strength = {strength}, temperature = {temperature}: from 0, and above 0")
    check_plausibility(plausibility)
    members = [expert, amateur]
    wants = wants or [want_of(member, rows) for member in members]
    return Composed(members, Contrast(strength, plausibility, temperature, ratio), wants=wants)


def check_plausibility(beta: float) -> None:
    """Raises UsageError unless 0 < beta <= 1."""
    if not 0 < beta <= 1:
        raise UsageError(f"plausibility = {beta}: must lie above 0 and at most at 1")


def plausible(logp: torch.Tensor, beta: float) -> torch.Tensor:
    """The tokens with at least `beta` of the best one's probability: bool, shaped as `logp`, never empty."""
    return logp >= logp.amax(-1, keepdim=True) + math.log(beta)


def among(score: torch.Tensor, logp: torch.Tensor, beta: float) -> torch.Tensor:
    """`score` as log-probabilities over the tokens that are plausible under `logp`; the others are -inf."""
    return torch.log_softmax(score.masked_fill(~plausible(logp, beta), -torch.inf), dim=-1)
