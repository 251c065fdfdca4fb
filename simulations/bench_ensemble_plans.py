"""The plans that `renga bench ensemble` compares, by how they are written, with all fitted that must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from renga.models.contract import LanguageModel, Prompt, Responder
from renga.models.ensemble.answers import log_likelihood
from renga.models.ensemble.cascade import cascade, fit_thresholds
from renga.models.ensemble.features import answer_features, prompt_features
from renga.models.ensemble.fitting import fit_gate, fit_weights
from renga.models.ensemble.fuse import fuse
from renga.models.ensemble.judges import mbr
from renga.models.ensemble.ranking import Ranked, differences, fit_ranker
from renga.models.ensemble.remembering import Remembering
from renga.models.ensemble.route import Routed
from renga.models.ensemble.router import Router
from renga.models.ensemble.router_folds import best_threshold, fit_by_folds
from renga.models.ensemble.scorer import Scored, fit_scorer
from renga.models.ensemble.selection import select
from renga.models.example import Example
from renga.models.local import LocalModel
from renga.simulations.bench_ensemble_members import ANSWERED, EXPERTS, kept
from renga.simulations.bench_tables import Tell

if TYPE_CHECKING:
    from renga.simulations.bench_ensemble import Alone

Features = Mapping[str, np.ndarray]  # of each prompt
MOST_PAIRS = 24
MOST_CALLS = 0.5  # of the host, by a router that is held to a share


@dataclass(frozen=True)
class Fitted:
    """What was fitted: a router with its view of all prompts and the threshold from which on the host is
    asked, and numbers to be told."""

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
    router, chosen = _router(members, alone, fitting, features)
    small = members[max(EXPERTS, key=lambda name: alone[name][0].accuracy)]
    accept = _accepting(small, host, alone, fitting)
    tell("fitting a scorer and a ranker")
    eye = eye_of(members)
    ranker = Ranked(fit_ranker(_compared(members, alone, fitting)), eye)

    def seen(text: str) -> np.ndarray:
        return np.asarray(features[text])

    free = replace(router, threshold=float("nan"))
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
        "fuse(experts, host, align='union', when='boundary')": fuse(
            *everybody, align="union", when="boundary"
        ),
        "fuse(intent, host, align='string', rule='defer', gate=fitted)": fuse(
            experts[0], host, align="string", rule="defer", gate=gate
        ),
        "route(experts, host)": Routed(everybody, free, seen, 1),
        "route(experts, host), at most half of the calls": Routed(everybody, router, seen, 1),
        "fuse(route(experts, host, top=2))": Routed(everybody, free, seen, 2),
        "fuse(route(experts, host, top=3))": Routed(everybody, free, seen, 3),
        "select(experts, host)": select(*everybody),
        "select(experts, host, by='loglik')": select(*everybody, by="loglik"),
        "select(experts, host, by='mbr')": select(*everybody, by="mbr"),
        "cascade(best expert, host, judge='loglik', accept=fitted)": cascade(
            small, host, judge="loglik", accept=accept
        ),
        "cascade(best expert, host, judge='sure', accept=fitted)": cascade(
            small, host, judge="sure", accept=_accepting(small, small, alone, fitting)
        ),
        **_scorer(members, small, alone, fitting),
        "select(experts, host, judge=mbr('embedding'))": select(*everybody, judge=mbr("embedding", eye)),
        "select(experts, host, judge=ranked)": select(*everybody, judge=ranker),
    }
    told = {
        "weights of experts": [round(w, 3) for w in weights],
        "weights of experts and host": [round(w, 3) for w in across],
        "gate": gate,
        "accept": accept,
        "router": chosen,
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


def _scorer(
    members: dict[str, Remembering], small: Remembering, alone: Alone, fitting: Sequence[Example]
) -> dict[str, Responder]:
    """A cascade that asks whether the small one's answer was right: fitted to half of the texts, the
    threshold to the other half. None where all answers were of one kind."""
    eye, first = eye_of(members), alone[small.name][0]
    short = [example for example in fitting if example.domain in ANSWERED]
    pairs = [(example.prompt, text) for example, text in zip(short, first.answers, strict=True)]
    features = kept(folder_of(members), ("scored", pairs), partial(answer_features, eye, pairs))
    right = np.stack([first.right, alone["host"][0].right], 1)
    odd = np.arange(len(short)) % 2 == 1
    if first.right[odd].min() == first.right[odd].max():
        return {}
    scorer = fit_scorer(features[odd], first.right[odd])
    said = scorer.probabilities(features[~odd])[:, None]
    accept = fit_thresholds(said, right[~odd], [1.0, 3.0], 1.0 + 3.0 * 0.5)
    plan = cascade(small, members["host"], judge=Scored(scorer, eye), accept=accept)
    return {"cascade(best expert, host, judge=scored, accept=fitted)": plan}


def _compared(members: dict[str, Remembering], alone: Alone, fitting: Sequence[Example]) -> np.ndarray:
    """Of texts to which one member gave the right answer and another a wrong one, what the edge model sees in
    the two: [pairs, width], at most MOST_PAIRS."""
    short = [example for example in fitting if example.domain in ANSWERED]
    pairs = []
    for at, example in enumerate(short):
        right = [alone[name][0].answers[at] for name in alone if alone[name][0].right[at]]
        wrong = [alone[name][0].answers[at] for name in alone if not alone[name][0].right[at]]
        if right and wrong:
            pairs.append((example.prompt, right[0], wrong[0]))
    pairs = pairs[:MOST_PAIRS] or [(short[0].prompt, "yes", "no")]
    if len(pairs) < 2:  # everybody is right, or nobody: there is nothing to prefer
        pairs = [*pairs, *pairs]
    return kept(folder_of(members), ("compared", pairs), partial(differences, eye_of(members), pairs))


def _seen(members: dict[str, Remembering], texts: Sequence[Example]) -> Features:
    """What the bare edge model sees in every prompt; kept beside its rows."""
    prompts = list(dict.fromkeys(example.prompt for example in texts))
    eye = eye_of(members)
    return {
        prompt: kept(folder_of(members), prompt, partial(prompt_features, eye, [prompt]))[0]
        for prompt in prompts
    }


def eye_of(members: Mapping[str, Remembering]) -> LocalModel:
    """The bare edge model."""
    inner = members[EXPERTS[0]].inner
    assert isinstance(inner, LocalModel)
    return LocalModel(inner.weights)


def folder_of(members: Mapping[str, Remembering]) -> Path:
    """Where what it sees is kept."""
    folder = members[EXPERTS[0]].folder
    assert folder is not None
    return folder.parent / "seen"


def _router(
    members: dict[str, Remembering], alone: Alone, fitting: Sequence[Example], features: Features
) -> tuple[Router, dict[str, float]]:
    """A router fitted to the bits of every member, and what was chosen for it: how far it is held back, and
    the threshold that does best with at most MOST_CALLS on texts left out of its fitting. There the quality
    is the probability of the right answer: of half as many texts, who happened to be right is mostly luck."""
    rewards = np.stack([-alone[name][0].bits / alone[name][0].bytes.clip(1) for name in members], 1)
    found = fit_by_folds(
        np.stack([features[example.prompt] for example in fitting]),
        rewards,
        list(members),
        groups=[example.domain for example in fitting],
    )
    short = np.array([example.domain in ANSWERED for example in fitting])
    said = found.left_out[short]
    good = np.stack([2.0 ** -alone[name][0].bits[short] for name in members], 1)
    favourite = good[np.arange(len(good)), said[:, :-1].argmax(1)]
    threshold = best_threshold(said[:, -1], favourite, good[:, -1], MOST_CALLS)
    chosen = {"smoothing": found.smoothing, "decay": found.decay, "threshold": threshold}
    return replace(found.router, threshold=threshold), chosen
