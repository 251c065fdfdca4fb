"""One distribution from several over one vocabulary: rules for `fuse`, each a function of the members' rows.

A rule is given the rows of whoever is present, [places, vocabulary] each, and their weights. One member alone
is handed on bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from renga.errors import UsageError, did_you_mean

Rows = Sequence[torch.Tensor]
Rule = Callable[[Rows, torch.Tensor], torch.Tensor]  # rows, weights [members] or [members, places]

BEST = 3  # of others' most probable tokens, for `agreement`


def mean(rows: Rows, weights: torch.Tensor) -> torch.Tensor:
    """p = Σ w p_i: says all that any member can say."""
    stacked = torch.stack(list(rows))
    return (stacked + _per_place(weights, stacked).log()).logsumexp(0)


def geometric(rows: Rows, weights: torch.Tensor) -> torch.Tensor:
    """p ∝ Π p_i^w_i: what one member rules out is out."""
    stacked = torch.stack(list(rows))
    shares = _per_place(weights, stacked)
    return torch.where(shares > 0, stacked * shares, 0.0).sum(0).log_softmax(-1)


def entropy(rows: Rows, weights: torch.Tensor) -> torch.Tensor:
    """The mean, a member's weight at each place times exp(-its entropy in nats): who is sure counts more."""
    uncertain = torch.stack([-(row.exp() * row.clamp(min=-1e4)).sum(-1) for row in rows])  # [members, places]
    gated = weights.unsqueeze(1).log() - uncertain
    return mean(rows, gated.softmax(0))


def agreement(rows: Rows, weights: torch.Tensor) -> torch.Tensor:
    """The mean of those whose best token is among some other's three best; of all where nobody's is."""
    if len(rows) == 1:
        return rows[0]
    best = torch.stack([row.argmax(-1) for row in rows])  # [members, places]
    near = torch.stack([row.topk(min(BEST, row.shape[-1])).indices for row in rows])  # [members, places, 3]
    listed = (best[:, None, :, None] == near[None]).any(-1)  # [whose best, in whose list, places]
    others = ~torch.eye(len(rows), dtype=torch.bool)
    kept = (listed & others[:, :, None]).any(1)
    kept |= ~kept.any(0)
    shares = weights.unsqueeze(1) * kept
    return mean(rows, shares / shares.sum(0))


def trust(margin: float) -> Rule:
    """The first member's row where its best token is within `margin` of the last's in probability, else the
    last's: a cascade at every token (arXiv:2405.19261). Under `speculate` with the first as draft, what the
    first is trusted with costs the last a place of a pass it makes anyway. Not the last member's law."""

    def rule(rows: Rows, weights: torch.Tensor) -> torch.Tensor:
        small, large = rows[0], rows[-1]
        trusted = small.amax(-1).exp() >= large.amax(-1).exp() - margin
        return torch.where(trusted.unsqueeze(-1), small, large)

    return rule


def defer(coefficients: Sequence[float]) -> Rule:
    """The mean of first and last member, the last weighted by a logistic function of how sure the first is
    (Co-LLM, arXiv:2403.03870, with a gate on the row instead of on hidden states); see `features`."""
    bend = torch.tensor(list(coefficients), dtype=torch.float64)

    def rule(rows: Rows, weights: torch.Tensor) -> torch.Tensor:
        if len(rows) == 1:
            return rows[0]
        deferred = (features(rows[0]).double() @ bend).sigmoid().to(rows[0].dtype)  # [places]
        return mean([rows[0], rows[-1]], torch.stack([1 - deferred, deferred]))

    return rule


def features(row: torch.Tensor) -> torch.Tensor:
    """What `defer` sees of rows [places, vocabulary]: 1, entropy in nats, best and second log-probability:
    [places, 4]."""
    best = row.topk(2, dim=-1).values.clamp(min=-30)
    uncertain = -(row.exp() * row.clamp(min=-1e4)).sum(-1)
    return torch.stack([torch.ones_like(uncertain), uncertain, best[:, 0], best[:, 1]], -1)


RULES: dict[str, Rule] = {
    "mean": mean,
    "geometric": geometric,
    "entropy": entropy,
    "agreement": agreement,
}


def rule_of(name: str, *, margin: float = 0.0, coefficients: Sequence[float] | None = None) -> Rule:
    """The rule called `name`. Raises UsageError for none, and for `defer` without its coefficients."""
    if name == "trust":
        return trust(margin)
    if name == "defer":
        if coefficients is None or len(coefficients) != 4:
            raise UsageError(
                "rule='defer' needs gate=[four numbers]", hint="renga plan fit makes them from a few texts"
            )
        return defer(coefficients)
    if name not in RULES:
        raise UsageError(
            f"there is no rule {name!r} for fuse", hint=did_you_mean(name, [*RULES, "trust", "defer"])
        )
    return RULES[name]


def _per_place(weights: torch.Tensor, stacked: torch.Tensor) -> torch.Tensor:
    shares = weights if weights.dim() == 2 else weights.unsqueeze(1)
    return shares.to(stacked.dtype).unsqueeze(-1)
