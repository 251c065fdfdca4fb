"""People in the loop: what their verdicts are worth, by how many are asked for and about what."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from renga.models.contract import Prompt
from renga.models.cooperation.detect import same_answer
from renga.models.cooperation.likelihood import scored
from renga.models.cooperation.review import SimulatedReviewer
from renga.models.cooperation.verdicts import Verdict, fit
from renga.models.local import LocalModel
from renga.simulations.bench_cooperation import Setting
from renga.simulations.bench_tables import Sheet, texts
from renga.simulations.cooperation_world import edited, world

BUDGETS = (0.0, 0.1, 0.25, 0.5, 1.0)
ERROR = 0.1
DRAWS = 50


def measure(setting: Setting) -> dict[str, Any]:
    edge = setting.load(setting.edge)
    return {"reviews": _reviews(edge, setting)}


def _reviews(edge: LocalModel, setting: Setting) -> dict[str, Any]:
    """Decisions to accept or refuse answers, by a detector that learned from verdicts; some are made by a
    reviewer, who errs."""
    made = edited(world(setting.seed, 40), setting.seed, setting.some(40))
    learned = edited(world(setting.seed + 1, 40), setting.seed + 1, setting.some(30))
    scores, known = (_likelihoods(edge, claims) for claims in (made, learned))
    weights = fit([Verdict("", "", {"likelihood": s}, c[2]) for s, c in zip(known, learned, strict=True)])
    doubts = [weights.score({"likelihood": s}) for s in scores]
    truth = [holds for _, _, holds, _ in made]
    result: dict[str, Any] = {"answers": len(made), "uncertainty": [], "random": []}
    for budget in BUDGETS:
        count = round(budget * len(made))
        least_sure = sorted(range(len(made)), key=lambda i: abs(doubts[i] - 0.5))[:count]
        by_choice, by_chance = [], []
        for draw in range(DRAWS):
            rng = random.Random(f"{setting.seed} {draw}")
            by_choice.append(_decided(doubts, truth, least_sure, draw))
            by_chance.append(_decided(doubts, truth, rng.sample(range(len(made)), count), draw))
        result["uncertainty"].append(sum(by_choice) / DRAWS)
        result["random"].append(sum(by_chance) / DRAWS)
    return result


def _likelihoods(edge: LocalModel, claims: Sequence[tuple[str, str, bool, str]]) -> list[float]:
    return [
        1 - math.exp(scored(edge, Prompt(f"{passage}\n{q}"), [a])[0].per_byte) for q, a, _, passage in claims
    ]


def _decided(doubts: Sequence[float], truth: Sequence[bool], reviewed: Sequence[int], seed: int) -> float:
    """The share of decisions that are right when `reviewed` are put before a reviewer."""
    reviewer = SimulatedReviewer(lambda question: "right", same_answer, ERROR, seed)
    asked = set(reviewed)
    right = 0
    for i, holds in enumerate(truth):
        accepts = reviewer.judge("", "right" if holds else "wrong") if i in asked else doubts[i] < 0.5
        right += accepts == holds
    return right / len(truth)


def sheets(result: Mapping[str, Any]) -> list[Sheet]:
    reviews = result["reviews"]
    rows = [
        (f"{budget:.0%}", f"{a:.1%}", f"{b:.1%}")
        for budget, a, b in zip(BUDGETS, reviews["uncertainty"], reviews["random"], strict=True)
    ]
    return [
        Sheet(
            "Answers accepted or refused rightly, by the share that a person is asked about",
            ("asked about", "the least sure", "random ones"),
            texts(rows),
            f"{reviews['answers']} answers, half of them edited. The detector is the likelihood by "
            f"{result['edge']}, weighed by verdicts on others; the reviewer errs in {ERROR:.0%} of cases; "
            f"means of {DRAWS} draws.",
        ),
    ]
