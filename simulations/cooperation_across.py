"""Questions across domains: one client knows where works stand, another who is mayor, and neither knows both.

Two experts were tuned on a client's facts each. Who answers, and with what before the eyes? And how many
verdicts of a reviewer who errs does a router need to tell whom to ask?
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.models.contract import LanguageModel, Prompt, Sampling
from renga.models.cooperation.dense import TokenVectors
from renga.models.cooperation.documents import Document
from renga.models.cooperation.index import PassageIndex
from renga.models.cooperation.retrieve import framed
from renga.models.cooperation.review import SimulatedReviewer
from renga.models.cooperation.sources import Finding, Passages, Relay
from renga.models.cooperation.spans import tokens
from renga.models.ensemble.features import prompt_features
from renga.models.ensemble.fuse import fuse
from renga.models.ensemble.route import Routed
from renga.models.ensemble.router import Router, fit_router
from renga.models.example import Example
from renga.models.generate import answer, answer_many
from renga.models.local import LocalModel
from renga.simulations.bench_cooperation import Setting, interval
from renga.simulations.bench_tables import Sheet, texts
from renga.simulations.cooperation_steer import TOKENS, tuned
from renga.simulations.cooperation_world import World, world

SAID = 16  # tokens of an answer
ERROR = 0.1  # of the reviewer
BUDGETS = (4, 8, 16, 32)
DRAWS = 20
EXPERTS = ("works", "towns")


def measure(setting: Setting) -> dict[str, Any]:
    found = world(setting.seed, 24)
    edge, host = setting.load(setting.edge), setting.load(setting.host)
    singles = _singles(found)
    experts = [tuned(edge, known, setting) for known in singles]
    asked = [*singles[0], *singles[1]]
    features = prompt_features(edge, [e.prompt for e in asked])
    setting.tell("  single questions")
    right = np.array(
        [_right(expert, [e.prompt for e in asked], [e.response for e in asked]) for expert in experts]
    )
    setting.tell("  verdicts")
    learned = _learned(features, right, setting.seed)
    router = fit_router(features, right.T.astype(float), EXPERTS)
    setting.tell("  joined questions")
    return {
        "singles": {name: list(map(bool, row)) for name, row in zip(EXPERTS, right, strict=True)},
        "own": [len(singles[0]), len(singles[1])],
        "router": learned,
        "joined": _joined(found, edge, host, experts, router, setting),
    }


def _singles(found: World) -> tuple[list[Example], list[Example]]:
    """What each client knows, as questions."""
    works = [Example(f"In which town does {w.name} stand?", w.town) for w in found.works]
    towns = [Example(f"Who is the mayor of {t}?", m) for t, m in found.mayors.items()]
    return works, towns


def _joined(
    found: World,
    edge: LocalModel,
    host: LocalModel,
    experts: Sequence[LocalModel],
    router: Router,
    setting: Setting,
) -> dict[str, Any]:
    """Who is the mayor of the town where a work stands?"""
    embedder = TokenVectors(edge)
    stands = [(w.name, f"{w.name} stands in {w.town}. It makes {w.goods}.") for w in found.works]
    mayors = [(town, f"The mayor of {town} is {mayor}.") for town, mayor in found.mayors.items()]
    sources = [
        Passages(_index(embedder, stands), name="works"),
        Passages(_index(embedder, mayors), name="towns"),
    ]
    works = random.Random(setting.seed).sample(list(found.works), min(setting.some(24), len(found.works)))
    questions = [f"Who is the mayor of the town where {w.name} stands?" for w in works]
    answers = [found.mayors[w.town] for w in works]
    relayed = [list(Relay(sources).find(q, 4)) for q in questions]
    given: dict[str, list[list[Finding]]] = {
        "nothing": [[] for _ in questions],
        "what the first holds": [list(sources[0].find(q, 4)) for q in questions],
        "what the second holds": [list(sources[1].find(q, 4)) for q in questions],
        "what both hold, each asked once": [list(Relay(sources, rounds=1).find(q, 4)) for q in questions],
        "what both hold, building on each other": relayed,
    }
    see = lambda text: prompt_features(edge, [text])[0]  # noqa: E731
    models: dict[str, LanguageModel] = {
        "the host alone": host,
        "the untuned edge": edge,
        "the first expert alone": experts[0],
        "the second expert alone": experts[1],
        "routed to one of them": Routed(experts, router, see, 1),
        "both fused": fuse(*experts),
    }
    ways = [(name, "nothing") for name in models]
    ways += [("the untuned edge", name) for name in given if name != "nothing"]
    ways += [
        (name, "what both hold, building on each other") for name in models if name != "the untuned edge"
    ]
    result: dict[str, Any] = {}
    for name, what in ways:
        setting.tell(f"    {name}, given {what}")
        prompts = [framed(q, g) if g else q for q, g in zip(questions, given[what], strict=True)]
        held = [
            f"stands in {w.town}" in said and f"mayor of {w.town} is" in said
            for w, g in zip(works, given[what], strict=True)
            for said in [" ".join(f.text for f in g)]
        ]
        result[f"{name}|{what}"] = {"right": _right(models[name], prompts, answers), "found": held}
    return result


def _right(model: LanguageModel, prompts: Sequence[str], answers: Sequence[str | None]) -> list[bool]:
    """Whether the greedy answer to each prompt holds the words of the right one, in order."""
    how = Sampling(max_tokens=SAID)
    if isinstance(model, LocalModel):
        said = [each.text for each in answer_many(model, list(prompts), how, batch=8)]
    else:
        said = [answer(model, Prompt(prompt), how) for prompt in prompts]
    return [
        f" {' '.join(tokens(right or ''))} " in f" {' '.join(tokens(text))} "
        for text, right in zip(said, answers, strict=True)
    ]


def _learned(features: NDArray[np.float64], right: NDArray[np.bool_], seed: int) -> dict[str, Any]:
    """A router fitted to verdicts on some questions: how often it asks an expert who is right, where one
    is, on all others; means over draws. By choice: of those the router so far is least sure of."""
    usable = np.flatnonzero(right.any(0))
    result: dict[str, Any] = {"usable": len(usable), "by_choice": {}, "by_chance": {}, "blind": 0.0}
    if len(usable) < 2 * BUDGETS[0]:
        return result
    result["blind"] = float(right[:, usable].mean())
    for budget in BUDGETS:
        if budget > len(usable) - BUDGETS[0]:
            break
        for name in ("by_choice", "by_chance"):
            scores = [
                _drawn(features[usable], right[:, usable], budget, name == "by_choice", seed * DRAWS + draw)
                for draw in range(DRAWS)
            ]
            result[name][str(budget)] = float(np.mean(scores))
    return result


def _drawn(
    features: NDArray[np.float64], right: NDArray[np.bool_], budget: int, choose: bool, seed: int
) -> float:
    generator = np.random.default_rng(seed)
    reviewer = SimulatedReviewer(lambda question: "right", str.__eq__, ERROR, seed)
    asked = list(generator.permutation(len(features))[: BUDGETS[0]])
    verdicts = {int(i): _verdict(reviewer, right[:, i]) for i in asked}
    while len(verdicts) < budget:  # some at a time, as a person would be asked
        left = [i for i in range(len(features)) if i not in verdicts]
        order = generator.permutation(len(left))
        if choose:
            order = np.abs(_fitted(features, verdicts).probabilities(features[left])[:, 0] - 0.5).argsort()
        for i in (left[place] for place in order[: BUDGETS[0]]):
            verdicts[i] = _verdict(reviewer, right[:, i])
    left = [i for i in range(len(features)) if i not in verdicts]
    picked = _fitted(features, verdicts).pick(features[left])
    return float(np.mean([right[k, i] for k, i in zip(picked, left, strict=True)]))


def _verdict(reviewer: SimulatedReviewer, right: NDArray[np.bool_]) -> list[float]:
    return [float(reviewer.judge("", "right" if each else "wrong")) for each in right]


def _fitted(features: NDArray[np.float64], verdicts: Mapping[int, list[float]]) -> Router:
    return fit_router(features[list(verdicts)], np.array(list(verdicts.values())), EXPERTS)


def _index(embedder: TokenVectors, named: Sequence[tuple[str, str]]) -> PassageIndex:
    index = PassageIndex(embedder=embedder)
    index.update([Document(name, text) for name, text in named])
    return index


def sheets(result: Mapping[str, Any]) -> list[Sheet]:
    joined = [
        (*key.split("|"), interval(r["found"]), interval(r["right"])) for key, r in result["joined"].items()
    ]
    first, second = result["own"]
    singles = result["singles"]
    own = (
        f"Of their own {first} and {second} questions the experts answer "
        f"{sum(singles['works'][:first])} and {sum(singles['towns'][first:])}, of the other's "
        f"{sum(singles['works'][first:])} and {sum(singles['towns'][:first])}."
    )
    router = result["router"]
    learned = [
        (budget, f"{router['by_choice'][budget]:.0%}", f"{router['by_chance'][budget]:.0%}")
        for budget in router["by_chance"]
    ]
    return [
        Sheet(
            "Questions that join what two clients know",
            ("answered by", "given", "both facts found", "right"),
            texts(joined),
            f"{result['edge']}, tuned on {TOKENS:,} tokens of one client's facts each; the host is "
            f"{result['host']}. {own}",
            words=frozenset({"given"}),
        ),
        Sheet(
            "A router that learns from verdicts: how often it asks an expert who is right",
            ("verdicts", "on those it is least sure of", "on random ones"),
            texts(learned),
            f"{router['usable']} questions that one expert answers rightly; asking either blindly is right "
            f"in {router['blind']:.0%} of them. The reviewer errs in {ERROR:.0%} of verdicts; on the "
            f"questions not judged, means of {DRAWS} draws.",
        ),
    ]
