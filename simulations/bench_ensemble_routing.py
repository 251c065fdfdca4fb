"""Between the clients' experts (weak: whichever the router likes best) and the host (strong): quality over
the share of calls to the host, on held-out texts with short answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from renga.models.ensemble.curves import aiq, apgr, cpt, curve
from renga.models.ensemble.router import Router
from renga.models.example import Example
from renga.simulations.bench_ensemble_members import ANSWERED
from renga.simulations.bench_ensemble_plans import Features

if TYPE_CHECKING:
    from renga.simulations.bench_ensemble import Alone

MOST_CALLS = 0.5
KEPT = 0.95
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)  # of calls, at which the curves are told


@dataclass(frozen=True)
class Sides:
    """Of each short text: the router's probability of the host, whether its favourite expert was right, and
    whether the host was; the prompt's length; whether the host is called at the fitted threshold: [texts]
    each. members: of each member, whether it was right."""

    score: np.ndarray
    experts: np.ndarray
    host: np.ndarray
    length: np.ndarray
    calls: np.ndarray
    members: np.ndarray  # [texts, members]


def routed(
    alone: Alone,
    fitting: Sequence[Example],
    held: Sequence[Example],
    router: Router,
    features: Features,
) -> Sides:
    """On `held`, with the threshold that does best on `fitting` with at most half of the calls."""
    score, experts, host, members = _sides(alone, held, router, features, 1)
    threshold = _threshold(*_sides(alone, fitting, router, features, 0)[:3])
    length = np.array([float(len(e.prompt)) for e in held if e.domain in ANSWERED])
    return Sides(score, experts, host, length, score >= threshold, members)


def routing(halves: Sequence[Sides]) -> dict[str, Any]:
    """Curves of the router, of the prompt's length, of chance and of who knows the answers; and what comes of
    the fitted thresholds."""
    score, experts, host, length, calls, members = (
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
    quality_there = float(np.where(calls, host, experts).mean())
    found["fitted"] = {
        "calls": float(calls.mean()),
        "quality": quality_there,
        "of_best": quality_there / best if best else None,
        "best_single": single,
    }
    return found


def _sides(
    alone: Alone, texts: Sequence[Example], router: Router, features: Features, which: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The first three of `Sides`, and the members."""
    short = [example for example in texts if example.domain in ANSWERED]
    p = router.probabilities(np.stack([features[e.prompt] for e in short]))
    right = np.stack([both[which].right for both in alone.values()], 1)
    return p[:, -1], right[np.arange(len(short)), p[:, :-1].argmax(1)], right[:, -1], right


def _threshold(score: np.ndarray, experts: np.ndarray, host: np.ndarray) -> float:
    """The highest threshold of those that do best with at most MOST_CALLS of the calls."""
    shares, quality = curve(score, experts, host)
    allowed = shares <= MOST_CALLS + 1e-12
    at = int(np.flatnonzero(allowed & (quality >= quality[allowed].max() - 1e-12))[0])
    ranked = np.sort(score)[::-1]
    return float(ranked[at - 1]) if at else float("inf")
