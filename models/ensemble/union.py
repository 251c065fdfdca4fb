"""Fusing over the union of everybody's k best tokens, across vocabularies.

UniTE's idea (arXiv:2410.12777), with three things put right. A token that a member does not list counts with
the member's own probability for it, or, where it is no token of the member's, with that of the first token
that spells it, never with a made-up number. Tokens for which that is the same token share its probability, in
proportion to what the others give them, instead of each taking all of it. And what nobody lists keeps its
mass: the first member spreads it, so that no text is ruled out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from renga.models.composed import Places
from renga.models.vocabulary import Vocabulary

END = b""  # how the end is written among tokens: no token has no bytes
TINY = 1e-9
PART = 512  # tokens of a row that are looked at together


class Union:
    """Combines rows over each member's own vocabulary into one over the first's, always present.

    weights: one per member, summing to 1. k: how many of its best tokens a member lists.
    """

    def __init__(self, vocabularies: Sequence[Vocabulary], weights: Sequence[float], k: int = 10) -> None:
        self._views = [_View(vocabulary) for vocabulary in vocabularies]
        self._weights = list(weights)
        self._k = k

    def __call__(self, rows: Sequence[torch.Tensor], places: Places) -> torch.Tensor:
        present = list(places.present)
        if present == [0]:
            return rows[0]
        whole = sum(self._weights[i] for i in present) or 1.0
        weights = [self._weights[i] / whole for i in present]
        views = [self._views[i] for i in present]
        first = rows[0] if present[0] == 0 else None
        fused = [
            self._fused([row[place] for row in rows], views, weights, first) for place in range(len(rows[0]))
        ]
        return torch.stack(fused)

    def _fused(
        self, rows: list[torch.Tensor], views: list[_View], weights: list[float], first: torch.Tensor | None
    ) -> torch.Tensor:
        listed: dict[bytes, None] = {}
        for row, view in zip(rows, views, strict=True):
            for id in best(row, self._k):
                listed[view.token(id)] = None
        strings = list(listed)
        own = [view.probabilities(row, strings) for row, view in zip(rows, views, strict=True)]
        laws = [
            self._shared(view, values, strings, [other for other in own if other is not values])
            for view, values in zip(views, own, strict=True)
        ]
        mixed = [sum(w * law[i] for w, law in zip(weights, laws, strict=True)) for i in range(len(strings))]
        lead = self._views[0]
        said: dict[int, float] = {}
        for string, mass in zip(strings, mixed, strict=True):
            id = lead.unit(string)
            said[id] = said.get(id, 0.0) + mass
        ids = torch.tensor(list(said))
        base = rows[0] if first is not None else rows[0].new_full((lead.size,), -math.log(lead.size))
        rest = max(0.0, 1.0 - sum(mixed))
        # What the first member gives to all others: it spreads the rest. Nothing else looks at whole rows.
        left = 1.0 - float(base[ids].exp().sum())
        scale = math.log(max(rest, TINY) / left) if left > TINY else 0.0
        total = sum(mixed) + (max(rest, TINY) if left > TINY else max(left, 0.0))
        row = base + (scale - math.log(total))
        row[ids] = torch.tensor([m / total for m in said.values()], dtype=row.dtype).log()
        return row

    @staticmethod
    def _shared(
        view: _View, values: list[float], strings: list[bytes], others: list[list[float]]
    ) -> list[float]:
        """The member's probability of each string: what several of them begin with is split among them."""
        support = [TINY + sum(other[i] for other in others) for i in range(len(strings))]
        groups: dict[int, float] = {}
        units = [view.unit(string) for string in strings]
        for unit, weight in zip(units, support, strict=True):
            groups[unit] = groups.get(unit, 0.0) + weight
        return [
            value * weight / groups[unit] for value, weight, unit in zip(values, support, units, strict=True)
        ]


def best(row: torch.Tensor, k: int) -> list[int]:
    """The k most probable tokens, falling. Of a long row only the parts with the largest maxima are sorted:
    each
    of the k best is in one of the k parts whose best are best."""
    parts = len(row) // PART
    if parts <= 2 * k:
        return row.topk(min(k, len(row))).indices.tolist()
    whole = row[: parts * PART].view(parts, PART)
    chosen = whole.amax(1).topk(k).indices
    ids = (chosen[:, None] * PART + torch.arange(PART)).flatten()
    ids = torch.cat([ids, torch.arange(parts * PART, len(row))])
    return ids[row[ids].topk(k).indices].tolist()


class _View:
    """A vocabulary, by strings."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._specials = torch.tensor(sorted(vocabulary.specials))
        self._units: dict[bytes, int] = {END: vocabulary.end}
        self.size = vocabulary.size

    def token(self, id: int) -> bytes:
        return self._vocabulary.token_bytes(id)

    def unit(self, string: bytes) -> int:
        """The token for a string, or the first of those that spell it."""
        found = self._units.get(string)
        if found is None:
            found = self._vocabulary.id_of(string)
            if found is None:
                found = self._vocabulary.encode_bytes(string)[0]
            self._units[string] = found
        return found

    def probabilities(self, row: torch.Tensor, strings: list[bytes]) -> list[float]:
        """Of each string's unit; the end is all specials together."""
        values: list[float] = row[[self.unit(string) for string in strings]].exp().tolist()
        if END in strings:
            values[strings.index(END)] = float(row[self._specials].logsumexp(0).exp())
        return values
