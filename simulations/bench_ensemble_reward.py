"""Best of n by reward heads, against a known gold score: where does choosing harder stop paying?

Candidates are what the bare edge model says when it is asked hot. Gold is likeness to the right response.
Heads are fitted to preferences made from gold on other texts, a quarter of them turned round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from renga.errors import UsageError
from renga.models.contract import Sampling
from renga.models.ensemble.curves import best_of_n
from renga.models.ensemble.features import answer_features
from renga.models.ensemble.judges import chrf
from renga.models.ensemble.remembering import Remembering
from renga.models.ensemble.reward import fit_heads, put_together
from renga.models.example import Example
from renga.models.generate import answer_many
from renga.models.local import LocalModel
from renga.simulations.bench_ensemble_members import EXPERTS, kept
from renga.simulations.bench_tables import Tell
from renga.simulations.charts import Line, line_chart

CANDIDATES = 32
SIZES = (1, 2, 4, 8, 16, 32)
HEADS = 5
FLIPPED = 0.25
PAIRS = 24  # of a text, at most
HOT = 1.2
MOST_TEXTS = 16
WAYS = {
    "gold itself": "c1",
    "one head": "c2",
    "mean of heads": "c3",
    "worst of heads": "c4",
    "mean less variance": "c5",
}


def reward(
    members: Mapping[str, Remembering],
    fitting: Sequence[Example],
    held: Sequence[Example],
    work: Path,
    tell: Tell,
) -> dict[str, Any]:
    """The gold score of the best of n by one head, by three ways to put five together, and by gold itself."""
    inner = members[EXPERTS[0]].inner
    assert isinstance(inner, LocalModel)
    eye = LocalModel(inner.weights)
    both = [[e for e in texts if e.domain == EXPERTS[0]][:MOST_TEXTS] for texts in (fitting, held)]
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    for texts in both:
        tell(f"{CANDIDATES} candidates for each of {len(texts)} texts")
        seen.append(_candidates(eye, texts, work / "rows" / "candidates"))
    rng = np.random.default_rng(0)
    better, worse = _preferences(*seen[0], rng)
    heads = fit_heads(better, worse, heads=HEADS)
    features, gold = seen[1]
    rewards = heads.rewards(features.reshape(-1, features.shape[-1])).reshape(HEADS, *gold.shape)
    sizes = [n for n in SIZES if n <= gold.shape[1]]
    proxies = {
        "gold itself": [gold],
        "one head": list(rewards),  # in the mean over them
        "mean of heads": [put_together(rewards, "mean")],
        "worst of heads": [put_together(rewards, "worst")],
        "mean less variance": [put_together(rewards, "cautious")],
    }
    curves = {
        name: np.mean([best_of_n(proxy, gold, sizes) for proxy in each], 0).tolist()
        for name, each in proxies.items()
    }
    return {
        "held": len(both[1]),
        "candidates": CANDIDATES,
        "heads": HEADS,
        "pairs": len(better),
        "sizes": sizes,
        "kl": [float(np.log(n) - (n - 1) / n) for n in sizes],
        "gold": curves,
    }


def drawing(found: Mapping[str, Any]) -> str:
    """The curves of `reward` as one SVG file: gold score over the distance from the model in nats."""
    lines = [
        Line(name, colour, [list(zip(found["kl"], found["gold"][name], strict=True))], "dots")
        for name, colour in WAYS.items()
    ]
    ticks = [(kl, f"n = {n}") for n, kl in zip(found["sizes"], found["kl"], strict=True)]
    label = "Gold score of the best of n against KL, by reward heads: " + ", ".join(WAYS)
    drawn = line_chart(lines, (0.0, found["kl"][-1]), ticks, label)
    colours = ("#7a7a7a", "#c2410c", "#1d4ed8", "#15803d", "#a21caf")
    rules = [f".c{i}{{--c:{colour}}}" for i, colour in enumerate(colours, 1)]
    style = (
        "text{font:10px sans-serif;fill:#666}.grid{stroke:#8884;fill:none}"
        ".line{stroke:var(--c);fill:none;stroke-width:1.5}.dot{fill:var(--c)}" + "".join(rules)
    )
    keys = "".join(
        f'<text x="{40 + 100 * (i % 3)}" y="{224 + 13 * (i // 3)}" style="fill:{colours[i]}">{name}</text>'
        for i, name in enumerate(WAYS)
    )
    whole = drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    whole = whole.replace('viewBox="0 0 340 210"', 'viewBox="0 0 340 245"', 1)
    head, _, rest = whole.partition(">")
    return f"{head}><style>{style}</style>{rest.removesuffix('</svg>')}{keys}</svg>\n"


def _said(eye: LocalModel, prompt: str) -> np.ndarray:
    """CANDIDATES answers to a prompt: text [candidates]."""
    how = Sampling(temperature=HOT, max_tokens=8)
    said = answer_many(eye, [prompt] * CANDIDATES, how, batch=CANDIDATES)
    return np.array([each.text for each in said])


def _candidates(eye: LocalModel, texts: Sequence[Example], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Features [texts, candidates, width] and gold scores [texts, candidates]; each text's are kept."""
    rows, gold = [], []
    for example in texts:
        said = kept(
            folder, ("said", example.prompt, CANDIDATES), partial(_said, eye, example.prompt)
        ).tolist()
        different = list(dict.fromkeys(said))
        pairs = [(example.prompt, text) for text in different]
        features = kept(folder, pairs, partial(answer_features, eye, pairs))
        rows.append(features[[different.index(text) for text in said]])
        gold.append([chrf(text, example.response or "") for text in said])
    return np.stack(rows), np.array(gold)


def _preferences(
    rows: np.ndarray, gold: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of candidates of one text that differ in gold, features of the preferred and of the other; a
    share FLIPPED the wrong way round."""
    pairs = []
    for text, scores in enumerate(gold):
        size = len(scores)
        unlike = [(i, j) for i in range(size) for j in range(size) if scores[i] > scores[j]]
        for at in rng.permutation(len(unlike))[:PAIRS]:
            pairs.append((text, *unlike[int(at)]))
    if len(pairs) < 2:
        raise UsageError("no two candidates differ in gold: there is nothing to prefer")
    turned = rng.random(len(pairs)) < FLIPPED
    better = [rows[t, j if flip else i] for (t, i, j), flip in zip(pairs, turned, strict=True)]
    worse = [rows[t, i if flip else j] for (t, i, j), flip in zip(pairs, turned, strict=True)]
    return np.stack(better), np.stack(worse)
