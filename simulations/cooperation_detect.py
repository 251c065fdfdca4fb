"""Detectors measured: on claims that people judged, and on answers that were edited."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from renga.models.contract import Prompt, Sampling
from renga.models.cooperation.attributes import auroc
from renga.models.cooperation.consistency import Entailment, Exact, Facts
from renga.models.cooperation.detect import Detector, Sampler, SelfCheck
from renga.models.cooperation.likelihood import scored
from renga.models.cooperation.verdicts import Verdict, fit
from renga.models.data import read_jsonl
from renga.models.generate import answer_many
from renga.models.local import LocalModel
from renga.simulations.bench_cooperation import Setting
from renga.simulations.bench_tables import Sheet, texts
from renga.simulations.cooperation_world import edited, world

Claims = list[tuple[str, str, bool, str]]  # question, answer, holds, passage
COVERAGES = (1.0, 0.8, 0.5, 0.2)


def measure(setting: Setting) -> dict[str, Any]:
    edge = host = None
    if not setting.bare:
        edge, host = setting.load(setting.edge), setting.load(setting.host)
    made = world(setting.seed, 40)
    sets: dict[str, Claims] = {"edited answers": edited(made, setting.seed, setting.some(40))}
    count = setting.some(40)
    learned: dict[str, Claims] = {
        "edited answers": edited(world(setting.seed + 1, 40), setting.seed + 1, count)
    }
    if setting.data is not None:
        folder = setting.data / "factcheck"
        sets["judged claims"] = _claims(folder / "validation.jsonl", setting.some(60))
        learned["judged claims"] = _claims(folder / "public.jsonl", count)
    result: dict[str, Any] = {}
    for name, claims in sets.items():
        setting.tell(f"  {name}")
        facts = Facts(made.graph()) if name == "edited answers" else None
        scores = _scores(claims, edge, host, facts)
        if host is not None:
            known = _scores(learned[name], None, host, None)
            names = ["exact", "entailment by the host", "likelihood by the host"]
            verdicts = [
                Verdict("", "", {n: known[n][i] for n in names}, holds)
                for i, (_, _, holds, _) in enumerate(learned[name])
            ]
            weights = fit(verdicts)
            scores[f"exact and the host's two, weighed by {count} verdicts"] = [
                weights.score({n: scores[n][i] for n in names}) for i in range(len(claims))
            ]
        wrong = [not holds for _, _, holds, _ in claims]
        result[name] = {
            "claims": len(claims),
            "wrong": sum(wrong),
            "detectors": {n: _judged(found, wrong) for n, found in scores.items()},
        }
    return {"sets": result}


def _claims(path: Any, limit: int) -> Claims:
    """Judged claims about passages: what is neither carried nor contradicted does not hold."""
    found = []
    for example in read_jsonl(path):
        _, _, rest = example.prompt.partition("Passage: ")
        passage, split, claim = rest.partition("\nClaim: ")
        if split:
            found.append(("Is this so?", claim, example.response == "True", passage))
    return found[:limit]


def _scores(
    claims: Claims, edge: LocalModel | None, host: LocalModel | None, facts: Facts | None
) -> dict[str, list[float]]:
    """Each detector's score of each claim; higher is worse. edge None: only what is weighed together, and
    what needs no model."""
    scores = {"exact": _worst([Exact([p]) for _, _, _, p in claims], claims)}
    for name, model in (("edge", edge), ("host", host)):
        if model is None:
            continue
        likely = [scored(model, Prompt(f"{p}\n{q}"), [a])[0].per_byte for q, a, _, p in claims]
        scores[f"likelihood by the {name}"] = [1 - math.exp(each) for each in likely]
        scores[f"entailment by the {name}"] = _worst(
            [Entailment([p], model) for _, _, _, p in claims], claims
        )
        if edge is not None:
            alone = [-scored(model, Prompt(q), [a])[0].per_byte for q, a, _, _ in claims]
            scores[f"mean −log p by the {name}, no passage (control)"] = alone
    scores["length (control)"] = [float(len(answer)) for _, answer, _, _ in claims]
    if facts is not None:
        scores["facts of the graph"] = _worst([facts] * len(claims), claims)
        if edge is not None:
            scores["selfcheck by the edge, 4 samples"] = _selfcheck(claims, edge)
    return scores


def _worst(detectors: Sequence[Detector], claims: Claims) -> list[float]:
    return [
        max((mark.score for mark in detector.inspect(Prompt(q), a)), default=0.0)
        for detector, (q, a, _, _) in zip(detectors, claims, strict=True)
    ]


def _selfcheck(claims: Claims, edge: LocalModel) -> list[float]:
    """Samples are drawn in batches: from the edge model, which has the passage."""
    prompts = [f"Answer from this passage.\n{p}\n\n{q}" for q, _, _, p in claims]
    drawn = [
        [given.text for given in answer_many(edge, prompts, Sampling(1.0, max_tokens=16, seed=s), batch=8)]
        for s in range(4)
    ]

    def drawn_for(i: int) -> Sampler:
        return lambda question, count: [row[i] for row in drawn]

    checks = [SelfCheck(drawn_for(i)) for i in range(len(claims))]
    return _worst(checks, claims)


def _judged(scores: Sequence[float], wrong: Sequence[bool]) -> dict[str, Any]:
    bad = [s for s, w in zip(scores, wrong, strict=True) if w]
    good = [s for s, w in zip(scores, wrong, strict=True) if not w]
    order = np.argsort(np.asarray(scores), kind="stable")  # the surest first
    labels = np.asarray(wrong, float)[order]
    risks = {str(c): float(labels[: max(1, round(c * len(labels)))].mean()) for c in COVERAGES}
    return {"auroc": auroc(bad, good), "risk": risks}


def sheets(result: Mapping[str, Any]) -> list[Sheet]:
    made = []
    for name, found in result["sets"].items():
        rows = [
            (detector, f"{r['auroc']:.3f}", *(f"{r['risk'][str(c)]:.0%}" for c in COVERAGES))
            for detector, r in sorted(found["detectors"].items(), key=lambda item: -item[1]["auroc"])
        ]
        made.append(
            Sheet(
                f"Detectors on {name}",
                ("detector", "AUROC", *(f"wrong among {c:.0%}" for c in COVERAGES)),
                texts(rows),
                f"{found['claims']} of them, {found['wrong']} do not hold. Edge: {result['edge']}, host: "
                f"{result['host']}. Wrong among x %: the share that does not hold among those that the "
                "detector doubts least (risk at that coverage).",
            )
        )
    return made
