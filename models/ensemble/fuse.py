"""Ensembles during inference: one distribution made of several at every token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch

from renga.errors import RengaError, UsageError
from renga.models.composed import Composed, Places, name_of, same_vocabulary, want_of
from renga.models.contract import Full, LanguageModel, Want
from renga.models.ensemble.bytewise import Bytewise
from renga.models.ensemble.following import Following
from renga.models.ensemble.rules import Rule, mean, rule_of
from renga.models.ensemble.translate import Translated, translate
from renga.models.ensemble.union import Union
from renga.models.vocabulary import Vocabulary

Align = Literal["none", "string", "union", "relative", "bytes"]
When = Literal["always", "disagree", "boundary"]
RuleName = Literal["mean", "geometric", "entropy", "agreement", "trust", "defer"]


def fuse(
    *models: LanguageModel,
    weights: Sequence[float] | None = None,
    rule: RuleName = "mean",
    align: Align = "none",
    when: When = "always",
    k: int = 10,
    margin: float = 0.1,
    gate: Sequence[float] | None = None,
    rows: int = 64,
    patience: float = 0.0,
) -> Fused:
    """One model of several, over the first one's vocabulary (over bytes with align="bytes").

    weights: one per model, above or at 0; even if not given. rule: see `renga.models.ensemble.rules`; margin
    is for "trust", gate for "defer". align, for models of other vocabularies: "string" moves each token's
    mass to the token that its bytes begin with, "union" fuses the k best tokens of each, "relative" works on
    distances between embeddings, "bytes" is exact, and slow. when="disagree": the first speaks alone where
    the best tokens are the same; "boundary": also where they don't begin at one place in every member's
    tokens (SAFE, arXiv:2510.15346). rows: ask models that are elsewhere for their best `rows` tokens only; 0:
    for whole rows. patience: seconds to wait for a model at a token before it is left out; 0: for as long as
    it takes. Raises UsageError for what doesn't fit together.
    """
    if not models:
        raise UsageError("fuse needs at least one model")
    if len(models) == 1 and hasattr(
        models[0], "fusing"
    ):  # a route to several: it knows whom, and the weights
        return Fused([models[0].fusing(rule, "string" if align == "none" else align)], Weighted(mean, [1.0]))
    shares = checked_weights(weights, len(models), "fuse")
    first = models[0]
    strange = [m for m in models[1:] if not same_vocabulary(m.vocabulary, first.vocabulary)]
    if strange and align == "none":
        raise UsageError(
            f"{name_of(strange[0])} has another vocabulary than {name_of(first)}",
            hint='say how to align them: align="union", "string", "relative" or "bytes"',
        )
    chosen = rule_of(rule, margin=margin, coefficients=gate)
    members: list[LanguageModel]
    wants: list[Want]
    if align in ("union", "relative") and strange:
        if rule != "mean":
            raise UsageError(
                f'align="{align}" has a rule of its own', hint='leave rule out, or align="string"'
            )
        members = [
            m
            if same_vocabulary(m.vocabulary, first.vocabulary)
            else Following(m, first.vocabulary, want_of(m, rows))
            for m in models
        ]
        wants = [Full() if isinstance(m, Following) else want_of(m, rows) for m in members]
        return Fused(members, _across(align, models, shares, k), wants=wants, when=when, patience=patience)
    if align == "bytes":
        members = [Bytewise(m) for m in models]
    else:
        members = [translate(m, first, rows=rows) for m in models]
    wants = [want_of(m, rows) for m in members]
    return Fused(members, Weighted(chosen, shares), wants=wants, when=when, patience=patience)


class Weighted:
    """A rule with its weights, those of whoever is present summing to 1."""

    def __init__(self, rule: Rule, weights: Sequence[float]) -> None:
        self._rule = rule
        self._weights = torch.tensor(list(weights), dtype=torch.float64)

    def __call__(self, rows: Sequence[torch.Tensor], places: Places) -> torch.Tensor:
        weights = self._weights[list(places.present)]
        heard = [row for row, weight in zip(rows, weights, strict=True) if weight > 0]
        if len(heard) == 1:
            return heard[0]
        if not heard:  # only those are left who were to have no say
            heard, weights = list(rows), torch.ones(len(rows), dtype=torch.float64)
        kept = weights[weights > 0]
        return self._rule(heard, (kept / kept.sum()).to(heard[0].dtype))


class Fused(Composed):
    """Members that are late or gone are left out; `places` and `fused` count rows made and rows mixed."""

    def __init__(
        self,
        members: Sequence[LanguageModel],
        combine: Weighted | Union | object,
        *,
        wants: Sequence[Want] | None = None,
        when: When = "always",
        patience: float = 0.0,
    ) -> None:
        self.places = self.fused = 0
        self._inner = combine
        self._when = when
        super().__init__(
            members, self._fuse, wants=wants, may_leave=len(members) > 1, patience=patience or None
        )

    def _fuse(self, rows: Sequence[torch.Tensor], places: Places) -> torch.Tensor:
        mixed: torch.Tensor = self._inner(rows, places)  # type: ignore[operator]
        self.places += len(mixed)
        if self._when == "always" or len(rows) == 1 or places.present[0] != 0:
            self.fused += len(mixed) if len(rows) > 1 else 0
            return mixed
        members = [self.members[index] for index in places.present]
        said = [_best(row, member) for row, member in zip(rows, members, strict=True)]
        differ = torch.tensor([len(set(tokens)) > 1 for tokens in zip(*said, strict=True)])
        if self._when == "boundary":
            for place in differ.nonzero()[:, 0].tolist():
                text = self.vocabulary.bytes_of(places.before(place))
                differ[place] = meet(text, [tokens[place] for tokens in said], list(map(_own, members)))
        self.fused += int(differ.sum())
        return torch.where(differ.unsqueeze(-1), mixed, rows[0])


def _own(member: LanguageModel) -> Vocabulary:
    """The vocabulary that a member thinks in."""
    inner = member.members[0] if isinstance(member, Following | Translated) else member
    return inner.vocabulary


def _best(row: torch.Tensor, member: LanguageModel) -> list[bytes]:
    """The best token at every place of a member's rows, as bytes."""
    vocabulary = _own(member) if isinstance(member, Following) else member.vocabulary
    return [vocabulary.token_bytes(id) for id in row.argmax(-1).tolist()]


def meet(text: bytes, tokens: Sequence[bytes], vocabularies: Sequence[Vocabulary]) -> bool:
    """Whether the end of `text` is a place where each vocabulary cuts, whichever of `tokens` comes next: else
    a member that spells the text so far is asked in the middle of a token of its own."""
    try:
        for vocabulary in vocabularies:
            read = vocabulary.encode_bytes(text)
            if any(token and vocabulary.encode_bytes(text + token)[: len(read)] != read for token in tokens):
                return False
    except RengaError:  # a vocabulary that can't spell what comes next
        return False
    return True


def _across(align: str, models: Sequence[LanguageModel], weights: Sequence[float], k: int) -> object:
    if align == "union":
        return Union([model.vocabulary for model in models], weights, k)
    from renga.models.ensemble.relative import Relative

    return Relative(models, weights)


def checked_weights(weights: Sequence[float] | None, count: int, who: str) -> list[float]:
    """Weights that sum to 1, even ones if none are given. Raises UsageError for what are none."""
    if weights is None:
        return [1 / count] * count
    if len(weights) != count:
        raise UsageError(f"{who} has {count} models and {len(weights)} weights", hint="give one for each")
    whole = math.fsum(weights)
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or whole <= 0:
        raise UsageError(f"weights of {who} must be numbers from 0 up, and not all 0")
    return [weight / whole for weight in weights]
