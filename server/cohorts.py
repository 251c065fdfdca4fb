"""What becomes of the adapters of a cohort: merged, judged by the cohort's clients, adopted or not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.models.adapter import Adapter
from renga.protocol.messages import Description, JudgeReply
from renga.server.merging.average import average, truncate
from renga.server.plan import Plan, Turn

# Nobody checks how many texts a client says it has: it counts at most so many times as much as the middle
# one of its cohort, in the merge and in the vote on it.
MOST_OF_MIDDLE = 10.0


def for_client(adapter: Adapter, who: Description) -> Adapter:
    """The adapter on the layers that the client adapts, at its rank; in a cohort both may differ."""
    own = {path: factors for path, factors in adapter.factors.items() if path in who.shapes}
    return truncate(replace(adapter, factors=own), who.rank, who.alpha).adapter


def merge(
    plan: Plan, adapters: Mapping[str, Adapter]
) -> tuple[dict[str, dict[str, Any]], dict[str, Adapter]]:
    """Merge each cohort's adapters: what the metrics say of it, and the candidate."""
    by_cohort: dict[str, list[str]] = defaultdict(list)
    for name in sorted(adapters):
        by_cohort[plan.participants[name].cohort].append(name)
    merges, candidates = {}, {}
    for cohort, names in sorted(by_cohort.items()):
        members = [plan.participants[name].description for name in names]
        weights = _within_reason([who.weight or who.texts for who in members])
        rank = plan.settings.rank or max(who.rank for who in members)
        alpha = max(who.alpha * rank / who.rank for who in members)
        merged = average([adapters[name] for name in names], list(weights), rank, alpha)
        candidates[cohort] = merged.adapter
        merges[cohort] = {
            "clients": names,
            "weights": [float(w) for w in weights / weights.sum()],
            "rank": rank,
            "error": float(merged.error),
        }
    return merges, candidates


def _within_reason(claims: Sequence[float]) -> NDArray[np.float64]:
    """What clients say they weigh, as far as it is believed; of two, the lesser is the middle one."""
    said = np.array(claims, float)
    middle = float(np.sort(said)[(len(said) - 1) // 2])
    believed: NDArray[np.float64] = np.minimum(said, MOST_OF_MIDDLE * middle)
    return believed


def gate(
    plan: Plan,
    merges: dict[str, dict[str, Any]],
    candidates: Mapping[str, Adapter],
    judged: Mapping[str, JudgeReply],
) -> tuple[dict[str, Adapter], dict[str, Turn]]:
    """Adopt each candidate unless its clients' own held-out text says it is worse. Writes into `merges`."""
    adapters, adopted = dict(plan.adapters), dict(plan.adopted)
    for cohort, candidate in candidates.items():
        votes = [judged[name] for name in merges[cohort]["clients"] if name in judged]
        if not votes:
            merges[cohort] |= {"adopted": False, "reason": "nobody judged it"}
            continue
        texts = _within_reason([max(1, vote.texts) for vote in votes])
        before = float(np.average([vote.before for vote in votes], weights=texts))
        after = float(np.average([vote.after for vote in votes], weights=texts))
        better = after <= before + plan.settings.tolerance
        voters = f"{len(votes)} client{'s' * (len(votes) > 1)}"
        reason = f"held-out text of {voters}: {before:.3f} -> {after:.3f} bits per byte, " + (
            "adopted" if better else f"worse by more than {plan.settings.tolerance:g}, not adopted"
        )
        merges[cohort] |= {"adopted": better, "before": before, "after": after, "reason": reason}
        if better:
            adapters[cohort], adopted[cohort] = candidate, plan.turn
    return adapters, adopted
