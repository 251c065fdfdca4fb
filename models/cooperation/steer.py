"""Steering: a large model moved by what tuning did to a small one.

base + strength·(tuned − untuned), one softmax: proxy tuning (arXiv:2401.08565), emulated fine-tuning
(arXiv:2310.12962), and with an expert and an anti-expert DExperts (arXiv:2105.03023). In log-probabilities
and in logits it is the same, for the constants of a row cancel. The tuned weights stay where they are: only
rows travel, the base's down or the offsets up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from renga.errors import UsageError
from renga.models.composed import Composed, Places, want_of
from renga.models.contract import LanguageModel, Sampling, Want
from renga.models.cooperation.contrast import FLOOR, check_plausibility, plausible
from renga.models.sampling import restricted


@dataclass(frozen=True)
class Steering:
    """Rows of base, tuned and untuned, or of base and offsets, as one. top_p: the base is cut to that mass
    first, which bounds what the small models can bring in."""

    strength: float = 1.0
    top_p: float = 1.0

    def __call__(self, rows: Sequence[torch.Tensor], places: Places) -> torch.Tensor:
        base, *others = rows
        if self.top_p < 1.0:
            base = restricted(base, Sampling(temperature=1.0, top_p=self.top_p))
        offset = others[0].clamp(min=FLOOR)
        if len(others) == 2:
            offset = offset - others[1].clamp(min=FLOOR)
        return torch.log_softmax(base + self.strength * offset, dim=-1)


@dataclass(frozen=True)
class Offset:
    """tuned − untuned, as a law: over the tokens plausible to either, and none for all others."""

    plausibility: float = 1e-4

    def __call__(self, rows: Sequence[torch.Tensor], places: Places) -> torch.Tensor:
        tuned, untuned = rows
        known = plausible(tuned, self.plausibility) | plausible(untuned, self.plausibility)
        difference = tuned.clamp(min=FLOOR) - untuned.clamp(min=FLOOR)
        return torch.log_softmax(torch.where(known, difference, 0.0), dim=-1)


def steer(
    base: LanguageModel,
    tuned: LanguageModel,
    untuned: LanguageModel | None = None,
    *,
    strength: float = 1.0,
    top_p: float = 1.0,
    rows: int = 64,
    wants: Sequence[Want] | None = None,
) -> Composed:
    """`base`, moved by what makes `tuned` differ from `untuned`; see the module.

    untuned None: `tuned` is already the difference, from `offsets`. rows: how many best tokens are asked of a
    model that is elsewhere (0: all); the steering with that truncated row is then, by definition, the target.
    wants: the same by hand, for each. strength 0 is the base itself.
    """
    if not math.isfinite(strength):
        raise UsageError(f"strength = {strength}: must be finite")
    if not 0 < top_p <= 1:
        raise UsageError(f"top_p = {top_p}: must lie above 0 and at most at 1")
    members = [base, tuned] if untuned is None else [base, tuned, untuned]
    wants = wants or [want_of(member, rows) for member in members]
    return Composed(members, Steering(strength, top_p), wants=wants)


def offsets(tuned: LanguageModel, untuned: LanguageModel, *, plausibility: float = 1e-4) -> Composed:
    """What tuning did, as a model of its own: for a client that lends its offsets to a host that steers."""
    check_plausibility(plausibility)
    return Composed([tuned, untuned], Offset(plausibility))


def dexperts(
    base: LanguageModel,
    expert: LanguageModel,
    anti: LanguageModel,
    *,
    strength: float = 2.0,
    top_p: float = 0.9,
) -> Composed:
    """`steer` with the numbers of DExperts: towards an expert, away from an anti-expert."""
    return steer(base, expert, anti, strength=strength, top_p=top_p)
