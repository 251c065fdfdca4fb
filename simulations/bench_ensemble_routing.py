"""Between the clients' experts (weak: whichever the router likes best) and the host (strong): quality over
the share of calls to the host, on held-out texts with short answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from renga.models.ensemble.curves import aiq, apgr, cpt, curve
from renga.models.ensemble.measuring import paired_interval
from renga.models.ensemble.router import Router
from renga.models.example import Example
from renga.simulations.bench_ensemble_members import ANSWERED
from renga.simulations.bench_ensemble_plans import Features

if TYPE_CHECKING:
    from renga.simulations.bench_ensemble import Alone

KEPT = 0.95
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)  # of calls, at which the curves are told


@dataclass(frozen=True)
class Sides:
    """Of each short text: the router's probability of the host, whether its favourite expert was right, and
    whether the host was; the prompt's length; whether the host is called at the fitted threshold; its domain;
    and the number of the member that was right most often about that domain on the other half: [texts] each.
    members: of each member, whether it was right."""

    score: np.ndarray
    experts: np.ndarray
    host: np.ndarray
    length: np.ndarray
    calls: np.ndarray
    domain: np.ndarray
    known: np.ndarray
    members: np.ndarray  # [texts, members]


def routed(
    alone: Alone,
    fitting: Sequence[Example],
    held: Sequence[Example],
    router: Router,
    features: Features,
) -> Sides:
    """On `held`, with the router's threshold; `fitting` are the texts that it was fitted to."""
    short = [example for example in held if example.domain in ANSWERED]
    p = router.probabilities(np.stack([features[e.prompt] for e in short]))
    before, right = (np.stack([both[half].right for both in alone.values()], 1) for half in (0, 1))
    where = np.array([e.domain for e in fitting if e.domain in ANSWERED])
    best = {domain: int(before[where == domain].mean(0).argmax()) for domain in set(where.tolist())}
    return Sides(
        score=p[:, -1],
        experts=right[np.arange(len(short)), p[:, :-1].argmax(1)],
        host=right[:, -1],
        length=np.array([float(len(e.prompt)) for e in short]),
        calls=p[:, -1] >= router.threshold,
        domain=np.array([e.domain for e in short]),
        known=np.array([best[e.domain] for e in short]),
        members=right,
    )


def routing(halves: Sequence[Sides]) -> dict[str, Any]:
    """Curves of the router, of the prompt's length, of chance and of who knows the answers; what comes of the
    fitted thresholds (oracle: of who knows the answers, with as many calls); and what limits it."""
    score, experts, host, length, calls, domain, known, members = (
        np.concatenate([getattr(half, name) for half in halves]) for name in Sides.__dataclass_fields__
    )
    rng = np.random.default_rng(0)
    ways = {
        "router": score,
        "length of the prompt": length,
        "random": rng.random(len(score)),
        "oracle": host - experts + 1e-3 * rng.random(len(score)),
    }
    single = float(members.mean(0).max())
    best = max(single, float(curve(score, experts, host)[1].max()))
    found: dict[str, Any] = {
        "experts": float(experts.mean()),
        "host": float(host.mean()),
        "both": float(np.maximum(experts, host).mean()),
        "best": best,
        "shares": list(SHARES),
    }
    for name, by in ways.items():
        shares, quality = curve(by, experts, host)
        enough = shares[quality >= KEPT * best - 1e-12]
        found[name] = {
            "apgr": apgr(by, experts, host),
            "cpt": {str(int(100 * r)): cpt(by, experts, host, r) for r in (0.5, 0.8, 0.95)},
            "aiq": aiq(shares, quality),
            "calls_for_95_percent_of_best": float(enough[0]) if len(enough) else None,
            "best_quality": float(quality.max()),
            "curve": np.interp(SHARES, shares, quality).tolist(),
        }
    ends = np.array([0.0, 1.0])
    found["zero router"] = {"aiq": aiq(ends, np.array([experts.mean(), host.mean()]))}
    right = np.where(calls, host, experts)
    gains = np.sort(host - experts)[::-1][: int(calls.sum())]
    found["fitted"] = {
        "calls": float(calls.mean()),
        "quality": float(right.mean()),
        "of_best": float(right.mean()) / best if best else None,
        "best_single": single,
        "oracle": float(experts.mean() + gains.clip(min=0).sum() / len(right)),
    }
    found["limits"] = _limits(right, calls, known, members, domain)
    return found


def _limits(
    right: np.ndarray, calls: np.ndarray, known: np.ndarray, members: np.ndarray, domain: np.ndarray
) -> dict[str, Any]:
    """Why is the router no better? Domain by domain, and of all texts: how often the host was asked and the
    answer right; the member that is best alone; whoever was best about the domain on the other half; and how
    often somebody was right though who was asked was not."""
    known_right = members[np.arange(len(members)), known]
    anybody = members.max(1)

    def told(mine: np.ndarray) -> dict[str, Any]:
        alone = members[mine].mean(0)
        return {
            "texts": int(mine.sum()),
            "calls": float(calls[mine].mean()),
            "right": float(right[mine].mean()),
            "best": int(alone.argmax()),
            "best_right": float(alone.max()),
            "known_right": float(known_right[mine].mean()),
            "known_calls": float((known[mine] == members.shape[1] - 1).mean()),
            "missed": float((anybody[mine] - right[mine]).mean()),
        }

    whole = told(np.ones(len(right), bool))
    whole["against_best"] = paired_interval(right, members[:, whole["best"]])
    return {**{name: told(domain == name) for name in sorted(set(domain.tolist()))}, "all": whole}
