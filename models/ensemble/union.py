"""Fusing over the union of everybody's k best tokens, across vocabularies.

UniTE's idea (arXiv:2410.12777), with three things put right. A token that a member does not list counts with
the member's own probability for it, or, where it is no token of the member's, with that of the first token
that spells it, never with a made-up number. Tokens for which that is the same token share its probability, in
proportion to what the others give them, instead of each taking all of it. And what nobody lists keeps its
mass: the first member spreads it, so that no text is ruled out.

The work of a place is two looks at whole rows and arithmetic on some twenty numbers, where an operation of
NumPy costs a fraction of one of torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from renga.errors import RengaError
from renga.models.composed import Places
from renga.models.vocabulary import Vocabulary

END = b""  # how the end is written among tokens: no token has no bytes
TINY = 1e-9
PART = 512  # tokens of a row that are looked at together

Floats = NDArray[np.floating]


class Union:
    """Combines rows over each member's own vocabulary into one over the first's, always present.

    weights: one per member, summing to 1. k: how many of its best tokens a member lists.
    """

    def __init__(self, vocabularies: Sequence[Vocabulary], weights: Sequence[float], k: int = 10) -> None:
        self._views = [_View(vocabulary) for vocabulary in vocabularies]
        self._weights = np.array(weights, dtype=np.float64)
        self._k = k

    def __call__(self, rows: Sequence[torch.Tensor], places: Places) -> torch.Tensor:
        present = list(places.present)
        weights = self._weights[present]
        if present[0] == 0 and not weights[1:].any():
            return rows[0]
        weights = weights / (weights.sum() or 1.0)
        views = [self._views[i] for i in present]
        said = [row.numpy() for row in rows]
        fused = np.empty((len(said[0]), self._views[0].size), dtype=said[0].dtype)
        if present[0] == 0:
            fused[:] = said[0]
        else:
            fused[:] = -math.log(fused.shape[1])
        for place, row in enumerate(fused):
            self._fuse(row, [member[place] for member in said], views, weights)
        return torch.from_numpy(fused)

    def _fuse(self, row: Floats, rows: list[Floats], views: list[_View], weights: Floats) -> None:
        """Make the fused row of `row`, which holds what spreads the rest: the first member's own."""
        listed: dict[bytes, None] = {}
        for member, view in zip(rows, views, strict=True):
            listed.update(dict.fromkeys(map(view.token, best(member, self._k))))
        lead = self._views[0]
        spelled = dict(zip(listed, lead.units(list(listed)), strict=True))
        strings = [string for string, unit in spelled.items() if unit >= 0]  # else the first can't say it
        begun = np.array([view.units(strings) for view in (*views, lead)])
        alike = (begun[:, :, None] == begun[:, None, :]).astype(np.float64)  # which begin with one token
        own = np.array(
            [
                view.probabilities(member, units, strings)
                for view, member, units in zip(views, rows, begun[:-1], strict=True)
            ]
        )
        # What several strings of a member begin with is split among them, as the others would have it.
        support = TINY + own.sum(0) - own
        laws = own * support / (alike[:-1] @ support[:, :, None])[:, :, 0]
        mixed = weights @ laws
        units, same = begun[-1], alike[-1]
        spread = np.exp(row[units], dtype=np.float64)
        # What the first member gives to all others: it spreads the rest. Nothing else looks at whole rows.
        left = 1.0 - float((spread / same.sum(1)).sum())
        rest = max(0.0, 1.0 - float(mixed.sum()))
        scale = math.log(max(rest, TINY) / left) if left > TINY else 0.0
        total = float(mixed.sum()) + (max(rest, TINY) if left > TINY else max(left, 0.0))
        row += scale - math.log(total)
        row[units] = np.log(same @ mixed / total)


def best(row: Floats, k: int) -> list[int]:
    """The k most probable tokens, falling. Of a long row only the parts with the largest maxima are looked at
    again: each of the k best is in one of the k parts whose best are best, and no less than the least of
    these."""
    parts = len(row) // PART
    if parts <= 2 * k:
        return _falling(row, np.arange(len(row)), k)
    tops = row[: parts * PART].reshape(parts, PART).max(1)
    chosen = np.argpartition(tops, parts - k)[parts - k :]
    least = tops[chosen].min()
    within = row[: parts * PART].reshape(parts, PART)[chosen]
    part, place = (within >= least).nonzero()
    behind = row[parts * PART :]  # what fills no part
    ids = np.concatenate([chosen[part] * PART + place, parts * PART + (behind >= least).nonzero()[0]])
    return _falling(row[ids], ids, k)


def _falling(values: Floats, ids: NDArray[np.intp], k: int) -> list[int]:
    kept = np.argpartition(values, len(values) - k)[len(values) - k :] if k < len(values) else ids.argsort()
    return [int(id) for id in ids[kept[np.argsort(-values[kept], kind="stable")]]]


class _View:
    """A vocabulary, by strings."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        vocabulary.id_of(END)  # tokens are indexed now, and not at the first place
        self._specials = np.array(sorted(vocabulary.specials))
        self._units: dict[bytes, int] = {END: vocabulary.end}
        self._tokens: dict[int, bytes] = {}
        self.size = vocabulary.size

    def token(self, id: int) -> bytes:
        found = self._tokens.get(id)
        if found is None:
            found = self._tokens[id] = self._vocabulary.token_bytes(id)
        return found

    def units(self, strings: list[bytes]) -> list[int]:
        """For each string its token, or the first of those that spell it; -1 if none can."""
        if new := [string for string in strings if string not in self._units]:
            self._look_up(new)
        return [self._units[string] for string in strings]

    def _look_up(self, strings: list[bytes]) -> None:
        """Tokenise what is no token all at once: a call takes as long as ten short texts do."""
        texts: dict[bytes, str] = {}
        for string in strings:
            if (known := self._vocabulary.id_of(string)) is not None:
                self._units[string] = known
                continue
            try:
                texts[string] = string.decode()
            except UnicodeDecodeError:  # a part of a character
                self._units[string] = self._first(string)
        for string, ids in zip(texts, self._vocabulary.attempt_many(list(texts.values())), strict=True):
            self._units[string] = -1 if ids is None else ids[0]

    def _first(self, string: bytes) -> int:
        try:
            return self._vocabulary.encode_bytes(string)[0]
        except RengaError:
            return -1

    def probabilities(self, row: Floats, units: NDArray[np.intp], strings: list[bytes]) -> Floats:
        """Of each string's unit; the end is all specials together."""
        values = np.exp(row[units], dtype=np.float64) * (units >= 0)
        if END in strings:
            values[strings.index(END)] = np.exp(row[self._specials], dtype=np.float64).sum()
        return values
