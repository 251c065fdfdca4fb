"""Fusing in a space of relations: DeePEn (arXiv:2404.12715), sparse.

Every token of a vocabulary is described by how near its embedding lies to those of anchors, tokens that all
vocabularies have. A member's row becomes a distribution over anchors; these are averaged; and a few steps of
gradient descent on the first member's logits look for the row that gives this average. The published matrices
are dense (vocabulary x anchors: gigabytes); here a token keeps its `nearest` anchors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from renga.errors import UsageError
from renga.models.composed import Places, name_of
from renga.models.contract import LanguageModel
from renga.models.vocabulary import Vocabulary

SHARPNESS = 100.0  # of the softmax over similarities, as published
CHUNK = 4096  # tokens whose similarities are held at once


@dataclass(frozen=True)
class Relations:
    """How a vocabulary lies to the anchors: of each token the nearest, and their shares (rows sum to 1)."""

    near: torch.Tensor  # [vocabulary, nearest] numbers of anchors
    shares: torch.Tensor  # [vocabulary, nearest]
    anchors: int

    def seen(self, probabilities: torch.Tensor) -> torch.Tensor:
        """A distribution over tokens [vocabulary] as one over anchors [anchors]."""
        mass = (probabilities.unsqueeze(1) * self.shares).flatten()
        return mass.new_zeros(self.anchors).index_add(0, self.near.flatten(), mass)


class Relative:
    """Combines rows over each member's own vocabulary into one over the first's, always present.

    models: local ones, whose embeddings can be looked at. Raises UsageError for others.
    """

    def __init__(
        self,
        models: Sequence[LanguageModel],
        weights: Sequence[float],
        *,
        anchors: int = 2048,
        nearest: int = 8,
        steps: int = 5,
        rate: float = 0.3,
    ) -> None:
        shared = shared_tokens([model.vocabulary for model in models])[:anchors]
        if len(shared) < 2:
            raise UsageError("the vocabularies share no tokens to relate others to")
        self._relations = [
            relations(_embeddings(model), [model.vocabulary.id_of(token) or 0 for token in shared], nearest)
            for model in models
        ]
        self._weights = list(weights)
        self._steps, self._rate = steps, rate

    def __call__(self, rows: Sequence[torch.Tensor], places: Places) -> torch.Tensor:
        present = list(places.present)
        if present[0] == 0 and not any(self._weights[i] for i in present[1:]):
            return rows[0]
        if present[0] != 0:
            raise UsageError("fuse(…, align='relative') can't go on without its first member")
        whole = sum(self._weights[i] for i in present) or 1.0
        return torch.stack(
            [
                self._searched(
                    rows[0][place],
                    sum(
                        (
                            self._weights[i] / whole * self._relations[i].seen(row[place].exp())
                            for i, row in zip(present, rows, strict=True)
                        ),
                        torch.zeros(self._relations[0].anchors, dtype=rows[0].dtype),
                    ),
                )
                for place in range(len(rows[0]))
            ]
        )

    def _searched(self, row: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """The row whose view is nearest to `wanted`, from the first member's own row on."""
        lead = self._relations[0]
        with torch.inference_mode(False), torch.enable_grad():
            logits = row.clone().clamp(min=-40.0).requires_grad_(True)
            goal = wanted.clone()
            optimiser = torch.optim.Adam([logits], lr=self._rate)
            for _ in range(self._steps):
                optimiser.zero_grad()
                view = lead.seen(logits.softmax(-1)).clamp(min=1e-12)
                # KL(wanted || view), less what does not depend on the logits; a sum, not a mean over anchors.
                loss = -(goal * view.log()).sum()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            return logits.detach().log_softmax(-1)


def shared_tokens(vocabularies: Sequence[Vocabulary]) -> list[bytes]:
    """Tokens that all have, by their number in the first: the commonest stand first."""
    first, *others = vocabularies
    tokens = (first.token_bytes(id) for id in range(first.size))
    return [
        token for token in dict.fromkeys(tokens) if token and all(v.id_of(token) is not None for v in others)
    ]


def relations(embeddings: torch.Tensor, anchors: Sequence[int], nearest: int) -> Relations:
    """embeddings [vocabulary, width]; anchors: ids in it."""
    unit = torch.nn.functional.normalize(embeddings.float(), dim=-1)
    pillars = unit[list(anchors)].T
    kept = min(nearest, len(anchors))
    near, shares = [], []
    for part in torch.split(unit, CHUNK):
        best = (part @ pillars).topk(kept, dim=-1)
        near.append(best.indices)
        shares.append((SHARPNESS * best.values).softmax(-1))
    return Relations(torch.cat(near), torch.cat(shares).to(embeddings.dtype), len(anchors))


def _embeddings(model: Any) -> torch.Tensor:
    weights = getattr(model, "weights", None)
    if weights is None:
        raise UsageError(
            f"fuse(…, align='relative') needs the embeddings of {name_of(model)}, which is not here",
            hint="use align='union' or align='string'",
        )
    table: torch.Tensor = weights.model.get_input_embeddings().weight.detach()
    return table[: model.vocabulary.size]
