"""The plans that `renga bench ensemble` compares, by how they are written, with all fitted that must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from renga.models.contract import LanguageModel, Prompt, Responder
from renga.models.ensemble.answers import log_likelihood
from renga.models.ensemble.cascade import cascade, fit_thresholds
from renga.models.ensemble.features import prompt_features
from renga.models.ensemble.fitting import fit_gate, fit_weights
from renga.models.ensemble.fuse import fuse
from renga.models.ensemble.remembering import Remembering
from renga.models.ensemble.route import Routed
from renga.models.ensemble.router import Router, fit_router
from renga.models.ensemble.selection import select
from renga.models.example import Example
from renga.models.local import LocalModel
from renga.simulations.bench_ensemble_members import ANSWERED, EXPERTS
from renga.simulations.bench_tables import Tell

if TYPE_CHECKING:
    from renga.simulations.bench_ensemble import Alone

Features = Mapping[str, np.ndarray]  # of each prompt


@dataclass(frozen=True)
class Fitted:
    """What was fitted: a router with its view of all prompts, and numbers to be told."""

    router: Router
    features: Features
    told: dict[str, Any] = field(default_factory=dict)


def plans_of(
    members: dict[str, Remembering],
    alone: Alone,
    fitting: Sequence[Example],
    held: Sequence[Example],
    tell: Tell,
) -> tuple[dict[str, Responder | LanguageModel], Fitted]:
    """Every plan by how it is written; those with something fitted have it from `fitting`."""
    experts = [members[name] for name in EXPERTS]
    host = members["host"]
    everybody = [*experts, host]
    tell("fitting weights, thresholds and the router")
    weights = fit_weights(experts, fitting)
    across = fit_weights(everybody, fitting)
    gate = fit_gate([experts[0], host], fitting)
    features = _seen(members, [*fitting, *held])
    router = _router(members, alone, fitting, features)
    small = members[max(EXPERTS, key=lambda name: alone[name][0].accuracy)]
    accept = _accepting(small, host, alone, fitting)

    def seen(text: str) -> np.ndarray:
        return np.asarray(features[text])

    fitted_to_half = router.calibrated(np.stack([features[e.prompt] for e in fitting]), 0.5)
    plans: dict[str, Responder | LanguageModel] = {
        "fuse(experts)": fuse(*experts),
        "fuse(experts, rule='geometric')": fuse(*experts, rule="geometric"),
        "fuse(experts, rule='entropy')": fuse(*experts, rule="entropy"),
        "fuse(experts, rule='agreement')": fuse(*experts, rule="agreement"),
        "fuse(experts, weights=fitted)": fuse(*experts, weights=weights),
        "fuse(experts, host, align='string')": fuse(*everybody, align="string"),
        "fuse(experts, host, align='string', weights=fitted)": fuse(
            *everybody, align="string", weights=across
        ),
        "fuse(experts, host, align='string', rule='entropy')": fuse(
            *everybody, align="string", rule="entropy"
        ),
        "fuse(experts, host, align='union')": fuse(*everybody, align="union"),
        "fuse(experts, host, align='union', when='disagree')": fuse(
            *everybody, align="union", when="disagree"
        ),
        "fuse(intent, host, align='string', rule='defer', gate=fitted)": fuse(
            experts[0], host, align="string", rule="defer", gate=gate
        ),
        "route(experts, host)": Routed(everybody, router, seen, 1),
        "route(experts, host), calls held to half": Routed(everybody, fitted_to_half, seen, 1),
        "fuse(route(experts, host, top=2))": Routed(everybody, router, seen, 2),
        "fuse(route(experts, host, top=3))": Routed(everybody, router, seen, 3),
        "select(experts, host)": select(*everybody),
        "select(experts, host, by='loglik')": select(*everybody, by="loglik"),
        "select(experts, host, by='mbr')": select(*everybody, by="mbr"),
        f"cascade({small.name}, host, judge='loglik', accept=fitted)": cascade(
            small, host, judge="loglik", accept=accept
        ),
        f"cascade({small.name}, host, judge='sure', accept=fitted)": cascade(
            small, host, judge="sure", accept=_accepting(small, small, alone, fitting)
        ),
    }
    told = {
        "weights of experts": [round(w, 3) for w in weights],
        "weights of experts and host": [round(w, 3) for w in across],
        "gate": gate,
        "accept": accept,
    }
    return plans, Fitted(router, features, told)


def _accepting(
    small: Remembering, judge: Remembering, alone: Alone, fitting: Sequence[Example]
) -> list[float]:
    """The threshold on the likelihood of the small one's answers under `judge` that gets most right with the
    host, which costs three times as much, asked about half of the texts."""
    first = alone[small.name][0]
    short = [example for example in fitting if example.domain in ANSWERED]
    judged = np.array(
        [
            [np.exp(min(0.0, log_likelihood(judge, Prompt(e.prompt), text)))]
            for e, text in zip(short, first.answers, strict=True)
        ]
    )
    right = np.stack([first.right, alone["host"][0].right], 1)
    return fit_thresholds(judged, right, [1.0, 3.0], 1.0 + 3.0 * 0.5)


def _seen(members: dict[str, Remembering], texts: Sequence[Example]) -> Features:
    """What the bare edge model sees in every prompt; kept beside its rows."""
    inner = members[EXPERTS[0]].inner
    assert isinstance(inner, LocalModel)
    prompts = list(dict.fromkeys(example.prompt for example in texts))
    return dict(zip(prompts, prompt_features(LocalModel(inner.weights), prompts), strict=True))


def _router(
    members: dict[str, Remembering], alone: Alone, fitting: Sequence[Example], features: Features
) -> Router:
    rewards = np.stack([-alone[name][0].bits / alone[name][0].bytes.clip(1) for name in members], 1)
    return fit_router(
        np.stack([features[example.prompt] for example in fitting]),
        rewards,
        list(members),
        groups=[example.domain for example in fitting],
    )
