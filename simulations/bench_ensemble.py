"""`renga bench ensemble`: what do several models know together that none knows alone, and what does it cost?

Edge models of one base, each tuned to one domain; a host of another family that was tuned to a fourth domain
and to the public texts of all. Every plan answers the same held-out texts of all domains; half of them fit
what is to be fitted (weights, thresholds, the router), the other half is what the tables are made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from renga.errors import UsageError
from renga.models.contract import LanguageModel, Prompt, Responder
from renga.models.ensemble.answers import log_likelihood
from renga.models.ensemble.cascade import cascade, fit_thresholds
from renga.models.ensemble.curves import aiq, apgr, best_of_n, cpt, curve
from renga.models.ensemble.features import answer_features, prompt_features
from renga.models.ensemble.fitting import fit_weights
from renga.models.ensemble.fuse import fuse
from renga.models.ensemble.judges import token_f1
from renga.models.ensemble.measuring import Measured, measure, paired_interval
from renga.models.ensemble.remembering import Remembering
from renga.models.ensemble.reward import fit_heads
from renga.models.ensemble.route import Routed
from renga.models.ensemble.router import Router, fit_router
from renga.models.ensemble.selection import select
from renga.models.example import Example
from renga.models.local import LocalModel
from renga.models.weights import SharedWeights
from renga.simulations.bench_ensemble_members import adapter_for, texts_of
from renga.simulations.bench_tables import Tell, conditions

EDGE, HOST = "SmolLM2-135M-Instruct", "gemma-3-270m"
EXPERTS = ("intent", "ordering", "phonetics")
HOSTED = "factcheck"
TOKENS = 9_000  # each member was trained on
ANSWERED = ("intent", "ordering", "factcheck")  # domains whose answers are short enough to be right or wrong


def bench(
    data: Path, work: Path, *, texts: int, seed: int, tell: Tell, part: str = "quality"
) -> dict[str, Any]:
    """Measure every plan on `texts` texts of each domain, after fitting on as many others."""
    members = _members(data, work, tell)
    rng = np.random.default_rng(seed)
    fitting: list[Example] = []
    held: list[Example] = []
    for domain in sorted({*EXPERTS, HOSTED}):
        known = texts_of(data, "validation", [domain])
        if len(known) < 2 * texts:
            raise UsageError(f"{domain} has {len(known)} held-out texts, fewer than 2 x {texts}")
        drawn = [known[i] for i in rng.permutation(len(known))[: 2 * texts]]
        fitting += drawn[:texts]
        held += drawn[texts:]
    alone: dict[str, tuple[Measured, Measured]] = {}
    for name, model in members.items():
        tell(f"{name} alone")
        alone[name] = _measured(model, fitting), _measured(model, held)
    rows = {name: both[1] for name, both in alone.items()}
    rows |= _policies(rows, held, seed)
    plans, notes = _plans(members, alone, fitting, held, tell)
    for name, plan in plans.items():
        tell(name)
        rows[name] = _measured(plan, held)
    best = max(members, key=lambda name: alone[name][1].accuracy)
    return {
        **({} if part == "quality" else {"speed": _speed(members, held, tell)}),
        "benchmark": "ensemble",
        "models": {"edge": EDGE, "host": HOST},
        "texts": len(held),
        "answered": int(sum(example.domain in ANSWERED for example in held)),
        "best_member": best,
        "rows": {name: _row(found, rows[best], rows["host"], held) for name, found in rows.items()},
        "routing": _routing(alone, fitting, held, notes),
        "bytes": _by_bytes(members, held, tell),
        "reward": _reward(members, fitting, held, tell),
        "conditions": conditions(),
    }


def _members(data: Path, work: Path, tell: Tell) -> dict[str, Remembering]:
    edge, host = SharedWeights.load(EDGE), SharedWeights.load(HOST)
    members: dict[str, Remembering] = {}
    for name in EXPERTS:
        adapter = adapter_for(edge, name, texts_of(data, "train", [name]), TOKENS, work, tell)
        members[name] = Remembering(LocalModel(edge, adapter), name)
    public = texts_of(data, "public", sorted({*EXPERTS, HOSTED}))
    learned = adapter_for(host, "host", texts_of(data, "train", [HOSTED]) + public, TOKENS, work, tell)
    members["host"] = Remembering(LocalModel(host, learned), "host")
    return members


def _measured(answering: Responder | LanguageModel, texts: Sequence[Example]) -> Measured:
    """Bits on all texts; answers where they are short."""
    short = [example for example in texts if example.domain in ANSWERED]
    long = [example for example in texts if example.domain not in ANSWERED]
    said = measure(answering, short, count=lambda text: len(text) // 2 + 2)
    rest = measure(answering, long, said=False) if hasattr(answering, "open") else None
    if rest is None:
        return said
    cost = said.cost
    cost.passes += rest.cost.passes
    return Measured(
        np.concatenate([said.bits, rest.bits]),
        np.concatenate([said.bytes, rest.bytes]),
        said.right,
        said.answers,
        said.cost,
    )


def _policies(rows: dict[str, Measured], held: Sequence[Example], seed: int) -> dict[str, Measured]:
    """Of the members' answers one at random, and the best of each text: bounds from below and above."""
    names = list(rows)
    right = np.stack([rows[name].right for name in names])
    bits = np.stack([rows[name].bits for name in names])
    sample = rows[names[0]]
    return {
        "random member": Measured(bits.mean(0), sample.bytes, right.mean(0), [], rows[names[0]].cost),
        "oracle member": Measured(bits.min(0), sample.bytes, right.max(0), [], rows[names[0]].cost),
    }


def _plans(
    members: dict[str, Remembering],
    alone: dict[str, tuple[Measured, Measured]],
    fitting: Sequence[Example],
    held: Sequence[Example],
    tell: Tell,
) -> tuple[dict[str, Responder | LanguageModel], dict[str, Any]]:
    """Every plan by how it is written; those with something fitted have it from `fitting`."""
    experts = [members[name] for name in EXPERTS]
    host = members["host"]
    everybody = [*experts, host]
    tell("fitting weights, thresholds and the router")
    weights = fit_weights(experts, fitting)
    across = fit_weights(everybody, fitting)
    router, features = _router(members, alone, fitting, held)
    small = members[max(EXPERTS, key=lambda name: alone[name][0].accuracy)]
    first = alone[small.name][0]
    short = [example for example in fitting if example.domain in ANSWERED]
    judged = np.array(
        [
            [np.exp(min(0.0, log_likelihood(host, Prompt(e.prompt), text)))]
            for e, text in zip(short, first.answers, strict=True)
        ]
    )
    right = np.stack([first.right, alone["host"][0].right], 1)
    accept = fit_thresholds(judged, right, [1.0, 3.0], 1.0 + 3.0 * 0.5)

    def seen(text: str) -> np.ndarray:
        return np.asarray(features[text])

    plans: dict[str, Responder | LanguageModel] = {
        "fuse(experts)": fuse(*experts),
        "fuse(experts, rule='geometric')": fuse(*experts, rule="geometric"),
        "fuse(experts, rule='entropy')": fuse(*experts, rule="entropy"),
        "fuse(experts, rule='agreement')": fuse(*experts, rule="agreement"),
        "fuse(experts, weights=fitted)": fuse(*experts, weights=weights),
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
        "route(experts, host)": Routed(everybody, router, seen, 1),
        "fuse(route(experts, host, top=2))": Routed(everybody, router, seen, 2),
        "select(experts, host)": select(*everybody),
        "select(experts, host, by='loglik')": select(*everybody, by="loglik"),
        "select(experts, host, by='mbr')": select(*everybody, by="mbr"),
        f"cascade({small.name}, host, judge='loglik', accept=fitted)": cascade(
            small, host, judge="loglik", accept=accept
        ),
    }
    return plans, {"router": router, "features": features, "weights": weights, "across": across}


def _router(
    members: dict[str, Remembering],
    alone: dict[str, tuple[Measured, Measured]],
    fitting: Sequence[Example],
    held: Sequence[Example],
) -> tuple[Router, dict[str, np.ndarray]]:
    inner = members[EXPERTS[0]].inner
    assert isinstance(inner, LocalModel)
    texts = [example.prompt for example in [*fitting, *held]]
    features = dict(zip(texts, prompt_features(LocalModel(inner.weights), texts), strict=True))
    order = _order(fitting)
    rewards = np.stack([-alone[name][0].bits / alone[name][0].bytes.clip(1) for name in members], 1)
    return (
        fit_router(
            np.stack([features[fitting[i].prompt] for i in order]),
            rewards,
            list(members),
            groups=[fitting[i].domain for i in order],
        ),
        features,
    )


def _order(texts: Sequence[Example]) -> list[int]:
    """The order in which `_measured` has texts: those with short answers first."""
    return [i for i, e in enumerate(texts) if e.domain in ANSWERED] + [
        i for i, e in enumerate(texts) if e.domain not in ANSWERED
    ]


def _routing(
    alone: dict[str, tuple[Measured, Measured]],
    fitting: Sequence[Example],
    held: Sequence[Example],
    notes: dict[str, Any],
) -> dict[str, Any]:
    """Between the clients' experts (weak: whichever the router likes best) and the host (strong): curves over
    the share of calls to the host, on held-out texts."""
    router, features = notes["router"], notes["features"]
    short = [example for example in held if example.domain in ANSWERED]
    p = router.probabilities(np.stack([features[e.prompt] for e in short]))
    right = np.stack([alone[name][1].right for name in alone], 1)
    experts = right[np.arange(len(short)), p[:, :-1].argmax(1)]
    host = right[:, -1]
    length = np.array([float(len(e.prompt)) for e in short])
    rng = np.random.default_rng(0)
    both = np.maximum(experts, host).mean()
    ways = {
        "router": p[:, -1],
        "length of the prompt": length,
        "random": rng.random(len(short)),
        "oracle": host - experts + 1e-3 * rng.random(len(short)),
    }
    best = max(float(experts.mean()), float(host.mean()))
    found: dict[str, Any] = {
        "experts": float(experts.mean()),
        "host": float(host.mean()),
        "both": float(both),
    }
    for name, score in ways.items():
        shares, quality = curve(score, experts, host)
        enough = shares[quality >= 0.95 * best - 1e-12]
        found[name] = {
            "apgr": apgr(score, experts, host),
            "cpt": {str(int(100 * r)): cpt(score, experts, host, r) for r in (0.5, 0.8, 0.95)},
            "aiq": aiq(shares, quality),
            "calls_for_95_percent_of_best": float(enough[0]) if len(enough) else None,
            "best_quality": float(quality.max()),
        }
    zero = aiq(np.array([0.0, 1.0]), np.array([experts.mean(), host.mean()]))
    found["zero router"] = {"aiq": zero}
    return found


def _by_bytes(members: dict[str, Remembering], held: Sequence[Example], tell: Tell) -> dict[str, Any]:
    """Rules over tokens against the exact mixture over bytes, on a few short texts: bits per byte, with even
    weights, of an expert and the host."""
    texts = [example for example in held if example.domain in ANSWERED][::4][:8]
    expert, host = members[EXPERTS[0]], members["host"]
    found: dict[str, Any] = {"texts": len(texts)}
    for align in ("bytes", "string", "union"):
        tell(f"fuse({expert.name}, host, align='{align}') on {len(texts)} texts")
        found[align] = measure(fuse(expert, host, align=align), texts, said=False).bits_per_byte
    return found


def _reward(
    members: dict[str, Remembering], fitting: Sequence[Example], held: Sequence[Example], tell: Tell
) -> dict[str, Any]:
    """Best of n among the choices of texts with seven of them: gold is 1 for the right one, else the words it
    shares with it. Preferences come from gold, a quarter of them turned round."""
    inner = members[EXPERTS[0]].inner
    assert isinstance(inner, LocalModel)
    eye = LocalModel(inner.weights)
    rng = np.random.default_rng(0)

    def seen(texts: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
        rows, gold = [], []
        for example in texts:
            rows.append(answer_features(eye, [(example.prompt, choice) for choice in example.choices]))
            right = (example.response or "").replace("_", " ")
            gold.append([token_f1(choice.replace("_", " "), right) for choice in example.choices])
        return np.stack(rows), np.array(gold)

    tell("reward heads")
    many = [[e for e in texts if len(e.choices) == 7] for texts in (fitting, held)]
    rows, gold = seen(many[0])
    pairs = [(t, i, j) for t, g in enumerate(gold) for i in range(7) for j in range(7) if g[i] > g[j]]
    turned = rng.random(len(pairs)) < 0.25
    better = np.stack([rows[t, j if flip else i] for (t, i, j), flip in zip(pairs, turned, strict=True)])
    worse = np.stack([rows[t, i if flip else j] for (t, i, j), flip in zip(pairs, turned, strict=True)])
    heads = fit_heads(better, worse, heads=5)
    rows, gold = seen(many[1])
    rewards = heads.rewards(rows.reshape(-1, rows.shape[-1])).reshape(5, *gold.shape)
    sizes = [1, 2, 3, 5, 7]
    ways = {
        "one head": rewards[0],
        "mean": rewards.mean(0),
        "worst": rewards.min(0),
        "cautious": rewards.mean(0) - 0.5 * rewards.var(0),
        "gold itself": gold,
    }
    return {
        "texts": len(many[1]),
        "candidates": 7,
        "heads": 5,
        "pairs": len(pairs),
        "sizes": sizes,
        "gold": {name: best_of_n(proxy, gold, sizes) for name, proxy in ways.items()},
    }


def _speed(members: dict[str, Remembering], held: Sequence[Example], tell: Tell) -> dict[str, Any]:
    """On the models themselves, nothing remembered."""
    from renga.simulations.bench_ensemble_speed import acceptance, speed, union_milliseconds

    first, second, host = (members[name].inner for name in (EXPERTS[0], EXPERTS[1], "host"))
    prompts = [example.prompt for example in held if example.domain == "phonetics"][:4]
    assert isinstance(first, LocalModel)
    apart = LocalModel(SharedWeights.load(EDGE), first.adapter)  # weights of its own: read side by side
    return {
        "pairs": {
            "SmolLM2 and SmolLM2": speed(apart, second, prompts, 24, tell),
            "SmolLM2 and Gemma, union": speed(first, host, prompts, 24, tell),
        },
        "union_milliseconds": union_milliseconds(first, host),
        "acceptance": acceptance(first, second, prompts, 24, (0.25, 0.5, 0.75)),
    }


def _row(found: Measured, best: Measured, host: Measured, held: Sequence[Example]) -> dict[str, Any]:
    """What the table shows of a plan, and how it differs from the best member and the host, paired by
    text."""
    row: dict[str, Any] = {
        "accuracy": found.accuracy,
        "against_best": paired_interval(found.right, best.right),
        "against_host": paired_interval(found.right, host.right),
        "passes": found.cost.passes,
        "tokens": found.cost.tokens,
    }
    if not np.isnan(found.bits).any():
        row["bits_per_byte"] = found.bits_per_byte
    return row
