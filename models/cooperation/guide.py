"""Guiding: a model turned towards an attribute while it writes.

FUDGE (arXiv:2104.05218): log p(x) + strength · log P(attribute | text, x) over the likeliest tokens, by a
predictor. GeDi (arXiv:2009.06367): the same, the attribute judged by Bayes' rule from two models that write
with and without it. Both give models, which draft and verify as others do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from renga.errors import UsageError
from renga.models.composed import (
    ALL_WANTS,
    Composed,
    Places,
    Reader,
    RowsSession,
    common_length,
    same_vocabulary,
    total,
)
from renga.models.contract import LanguageModel, Prompt
from renga.models.cooperation.attributes import Attribute
from renga.models.meter import Meter
from renga.models.vocabulary import Vocabulary


@dataclass(frozen=True)
class Fudge:
    """The rule of FUDGE over one model's rows."""

    attribute: Attribute
    vocabulary: Vocabulary
    strength: float
    top: int
    away: bool

    def __call__(self, rows: Sequence[torch.Tensor], places: Places) -> torch.Tensor:
        (base,) = rows
        best = base.topk(min(self.top, base.shape[-1]), dim=-1)
        out = torch.full_like(base, -torch.inf)
        before = self.vocabulary.bytes_of(places.read)
        for place in range(len(base)):
            if place:
                before += self.vocabulary.bytes_of(places.fed[place - 1 : place])
            ids = best.indices[place].tolist()
            odds = self.attribute.odds_after(before, [self.vocabulary.token_bytes(id) for id in ids])
            likely = -np.logaddexp(0, odds if self.away else -odds)
            guided = best.values[place] + self.strength * torch.from_numpy(likely).to(base.dtype)
            out[place, best.indices[place]] = guided
        return torch.log_softmax(out, dim=-1)


def guide(
    model: LanguageModel,
    attribute: Attribute | str | Path,
    *,
    strength: float = 2.0,
    top: int = 200,
    away: bool = False,
) -> Composed:
    """`model`, turned towards `attribute` (away: from it), among its `top` tokens at each place.

    attribute: a predictor, or the file of one. strength 0 is the model itself, cut to its `top` tokens.
    """
    if not (math.isfinite(strength) and strength >= 0) or top < 1:
        raise UsageError(f"strength = {strength}, top = {top}: from 0, and from 1")
    if not isinstance(attribute, Attribute):
        attribute = Attribute.load(Path(attribute))
    return Composed([model], Fudge(attribute, model.vocabulary, strength, top, away))


class Conditioned:
    """A model with an instruction before every prompt: how one model becomes the two that GeDi compares."""

    def __init__(self, model: LanguageModel, instruction: str) -> None:
        self.members = (model,)
        self.instruction = instruction
        self.offers = model.offers

    @property
    def vocabulary(self) -> Vocabulary:
        return self.members[0].vocabulary

    def open(self, prompt: Prompt):  # type: ignore[no-untyped-def]
        return self.members[0].open(prompt.asking(f"{self.instruction}\n{prompt.text}"))


class Gedi:
    """A model guided by two others; see `gedi`."""

    offers = ALL_WANTS

    def __init__(
        self, members: Sequence[LanguageModel], strength: float, scale: float, bias: float, top: int
    ) -> None:
        self.members = tuple(members)
        self.strength, self.scale, self.bias, self.top = strength, scale, bias, top

    @property
    def vocabulary(self) -> Vocabulary:
        return self.members[0].vocabulary

    @property
    def meter(self) -> Meter:
        return total(self)

    def open(self, prompt: Prompt) -> GediSession:
        return GediSession(self, prompt)


class GediSession(RowsSession):
    """Three sessions, and how likely each of the two judges found the answer so far."""

    def __init__(self, model: Gedi, prompt: Prompt) -> None:
        super().__init__(prompt, model.vocabulary)
        self._model = model
        self._readers = [Reader(member, prompt) for member in model.members]
        self._judged: list[int] = []
        self._leads = [0.0]  # log p(judged[:i] | with) − log p(… | without), for each i

    def _rows(self, read: list[int], fed: list[int]) -> torch.Tensor:
        if common_length(self._judged, read) < len(read):
            self._rows([], read)
        base, having, lacking = (reader.rows(read, fed) for reader in self._readers)
        lead = having.clamp(min=-100.0) - lacking.clamp(min=-100.0)
        self._judged, self._leads = read + fed, self._leads[: len(read) + 1]
        for place, id in enumerate(fed):
            self._leads.append(self._leads[-1] + float(lead[place, id]))
        so_far = torch.tensor(self._leads[len(read) :], dtype=base.dtype).unsqueeze(1)
        length = torch.arange(len(read) + 1, len(read) + len(fed) + 2, dtype=base.dtype).unsqueeze(1)
        model = self._model
        likely = torch.nn.functional.logsigmoid(model.scale * (so_far + lead) / length + model.bias)
        kept = torch.full_like(base, -torch.inf)
        best = base.topk(min(model.top, base.shape[-1]), dim=-1).indices
        guided = base + model.strength * likely
        return torch.log_softmax(kept.scatter(1, best, guided.gather(1, best)), dim=-1)

    def close(self) -> None:
        super().close()
        for reader in self._readers:
            reader.close()


def gedi(
    model: LanguageModel,
    having: LanguageModel,
    lacking: LanguageModel,
    *,
    strength: float = 30.0,
    scale: float = 1.0,
    bias: float = 0.0,
    top: int = 200,
) -> Gedi:
    """`model`, turned towards what `having` would rather write than `lacking`, by Bayes' rule.

    P(attribute | x_1 … x_t) = sigmoid(scale / t · sum of their log-ratios + bias). The paper's further filter
    is not part of it; `top` bounds what can be brought in.
    """
    if not all(map(math.isfinite, (strength, scale, bias))) or strength < 0 or top < 1:
        raise UsageError(f"strength = {strength}, scale = {scale}, bias = {bias}, top = {top}")
    for member in (having, lacking):
        if not same_vocabulary(member.vocabulary, model.vocabulary):
            raise UsageError("the judges have another vocabulary", hint="translate(judge, model)")
    return Gedi([model, having, lacking], strength, scale, bias, top)
