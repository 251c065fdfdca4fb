"""`renga bench merging --data`: adapters of several domains, merged by every method, on text of each domain.

One adapter per domain and one of all domains' text in one place are trained once and kept in the folder of
the results, like every score, so that a benchmark that was stopped goes on. Which method is best depends on
tasks and budgets; that the methods are what they claim is proved by the tests' dense references, not by this
table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from renga.errors import UsageError
from renga.models.adapter import Adapter, scaled_norm
from renga.models.adapter_files import load_peft, save_peft
from renga.models.data import read_jsonl
from renga.models.evaluation import measured
from renga.models.example import Example
from renga.models.local import LocalModel
from renga.models.scoring import bits_per_byte, encode_texts
from renga.models.seeds import derived
from renga.models.training import Learning, Lesson, learn
from renga.models.weights import SharedWeights
from renga.server.merging import live
from renga.server.merging.adapters import merge
from renga.server.merging.gathered import measured as statistics_of
from renga.server.merging.search import Searching, search
from renga.server.merging.soups import greedy
from renga.simulations.bench_tables import Tell, conditions


@dataclass(frozen=True)
class Budget:
    """What is trained and scored. tokens: of each adapter, the joint one too."""

    rank: int = 8
    tokens: int = 16_000
    rate: float = 1e-3
    texts: int = 16  # of each domain that scores are taken on
    choosing: int = 4  # of each domain, others than these, that methods may choose or measure by
    seed: int = 7


# Methods that need adapters alone, with the options they are shown with. "summed": the paper's sum of updates
# is had by a scale of the number of inputs; methods that mean something for both are shown with both.
PLAIN: Mapping[str, tuple[str, dict[str, Any]]] = {
    "average": ("average", {}),
    "average, rank 8": ("average", {"rank": 8}),
    "task arithmetic, scale 0.3 N": ("task_arithmetic", {"scale": 0.3}),
    "sum of the updates": ("task_arithmetic", {"scale": 1.0}),
    "by size": ("by_size", {}),
    "magnitude": ("magnitude", {"density": 0.3}),
    "ties": ("ties", {"density": 0.3}),
    "ties, dense": ("ties", {"density": 0.3, "space": "dense", "rank": 32}),
    "dare": ("dare", {"density": 0.5}),
    "dare_ties": ("dare_ties", {"density": 0.5}),
    "della": ("della", {"density": 0.5}),
    "breadcrumbs": ("breadcrumbs", {"density": 0.5}),
    "breadcrumbs, dense": ("breadcrumbs", {"density": 0.5, "space": "dense", "rank": 32}),
    "pcb": ("pcb", {"density": 0.3}),
    "consensus": ("consensus", {}),
    "model_stock": ("model_stock", {}),
    "knots": ("knots", {"density": 0.3}),
    "core_space": ("core_space", {"density": 0.3}),
    "tsv": ("tsv", {}),
    "tsv, summed": ("tsv", {"scale": 1.0}),
    "iso_c": ("iso_c", {}),
    "iso_c, summed": ("iso_c", {"scale": 1.0}),
    "iso_cts": ("iso_cts", {}),
    "incremental": ("incremental", {}),
    "factor_mean": ("factor_mean", {}),
}


# Rows whose models also write free answers, word by word, which costs three times the rest of a row. Of the
# others accuracy is told where there are choices.
ANSWERING = ("untouched", "joint", "average")


def run(
    weights: SharedWeights, data: Path, out: Path, budget: Budget, tell: Tell, only: Sequence[str] = ()
) -> dict[str, Any]:
    """Train, merge and score what isn't in `out` yet; give all scores, set against the average's."""
    domains = {folder.name: folder for folder in sorted(data.iterdir()) if (folder / "train.jsonl").is_file()}
    if len(domains) < 2:
        raise UsageError(f"{data} holds no two domains", hint="a folder for each, with train.jsonl in it")
    held = {name: read_jsonl(folder / "validation.jsonl") for name, folder in domains.items()}
    texts = {name: found[: budget.texts] for name, found in held.items()}
    aside = {name: found[budget.texts :][: budget.choosing] for name, found in held.items()}
    adapters = {
        name: _trained(weights, [folder], name, out, budget, tell) for name, folder in domains.items()
    }
    joint = _trained(weights, list(domains.values()), "joint", out, budget, tell)
    table = _Table(weights, texts, out / "scores.json", {**asdict(budget), "model": weights.reference}, tell)
    table.score("untouched", lambda: None)
    for name, adapter in adapters.items():
        table.score(f"alone: {name}", lambda adapter=adapter: adapter)  # type: ignore[misc]
    table.score("joint", lambda: joint)
    inputs = list(adapters.values())
    makers: dict[str, Callable[[], Adapter]] = {
        name: lambda method=method, options=options: _merged(inputs, method, options)  # type: ignore[misc]
        for name, (method, options) in PLAIN.items()
    }
    makers |= _learned(weights, inputs, list(aside.values()), out, budget, tell)
    for name, make in makers.items():
        if not only or name in only:
            table.score(name, make)
    return {
        **conditions(),
        "budget": asdict(budget),
        "model": weights.reference,
        "sizes": {name: scaled_norm(adapter) for name, adapter in adapters.items()},
        "rows": table.summary(),
    }


def _merged(inputs: Sequence[Adapter], method: str, options: Mapping[str, Any]) -> Adapter:
    """A merge; a scale is given in shares of the number of inputs."""
    scale = options.get("scale")
    given = dict(options) if scale is None else {**options, "scale": scale * len(inputs)}
    return merge(inputs, method, **given).adapter


def _learned(
    weights: SharedWeights,
    inputs: Sequence[Adapter],
    aside: Sequence[Sequence[Example]],
    out: Path,
    budget: Budget,
    tell: Tell,
) -> dict[str, Callable[[], Adapter]]:
    """Methods that look at texts: only at those set aside."""
    together = [example for texts in aside for example in texts]

    def score(adapter: Adapter) -> float:
        return -float(bits_per_byte(LocalModel(weights, adapter), together).mean())

    def informed(method: str) -> Adapter:
        known = statistics_of(weights, inputs, aside, fisher=method == "fisher", seed=budget.seed)
        return merge(inputs, method, statistics=known).adapter

    def learned(method: str, rate: float) -> Adapter:
        how = live.Learning(weights, together, steps=8, rate=rate, batch=4, seed=budget.seed, tell=tell)
        return merge(inputs, method, learning=how).adapter

    def found(by: str) -> Adapter:
        how = Searching(by=by, tries=12, seed=budget.seed)
        return search(inputs, score, how, trace=out / f"{by}.jsonl", tell=tell).merged.adapter

    return {
        "greedy soup": lambda: greedy(inputs, score).merged.adapter,
        "fisher": lambda: informed("fisher"),
        "regmean": lambda: informed("regmean"),
        "adamerging": lambda: learned("adamerging", 0.05),
        "concrete": lambda: learned("concrete", 0.2),
        "cmaes": lambda: found("cmaes"),
        "bayes": lambda: found("bayes"),
    }


def _trained(
    weights: SharedWeights, folders: Sequence[Path], name: str, out: Path, budget: Budget, tell: Tell
) -> Adapter:
    """The adapter of these domains' private text, from `out` if it has been trained."""
    folder = out / "adapters" / f"{name}-{budget.tokens}-{budget.rank}-{budget.seed}"
    if folder.is_dir():
        kept = load_peft(folder)
        if kept.base == weights.fingerprint:
            return kept
    tell(f"training {name}")
    examples = [example for source in folders for example in read_jsonl(source / "train.jsonl")]
    lessons = [Lesson(text) for text in encode_texts(weights, examples)]
    fresh = weights.fresh_adapter(budget.rank, 2.0 * budget.rank, "all", derived(budget.seed, "first"))
    how = Learning(rate=budget.rate, tokens=budget.tokens, seed=derived(budget.seed, name))
    adapter = learn(weights, fresh, lessons, how).adapter
    adapter = replace(adapter, provenance={"who": name})
    save_peft(adapter, folder, weights.reference)
    return adapter


class _Table:
    """Scores of adapters on each domain's texts, kept in a file as they are made."""

    def __init__(
        self,
        weights: SharedWeights,
        texts: Mapping[str, Sequence[Example]],
        path: Path,
        head: Mapping[str, Any],
        tell: Tell,
    ) -> None:
        self._weights, self._texts, self._path, self._tell = weights, texts, path, tell
        self._kept: dict[str, Any] = {}
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            self._kept = kept["rows"] if kept["head"] == dict(head) else {}
        self._head = dict(head)

    def score(self, name: str, make: Callable[[], Adapter | None]) -> None:
        if name in self._kept:
            return
        adapter = make()
        examples = [example for texts in self._texts.values() for example in texts]
        free = name in ANSWERING or name.startswith("alone")
        bits, right = measured(LocalModel(self._weights, adapter), examples, generate=free)
        asked = [free or bool(example.choices) for example in examples]
        self._kept[name] = {
            "bits": bits.tolist(),
            "right": [bool(r) if a else None for r, a in zip(right, asked, strict=True)],
            "rank": None if adapter is None else adapter.rank,
            "size": 0.0 if adapter is None else scaled_norm(adapter),
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"head": self._head, "rows": self._kept})
        self._path.write_text(text, encoding="utf-8")
        own = self._of(name)
        self._tell(f"{name:28} " + "  ".join(f"{bpb:.3f}" for bpb, _ in own.values()))

    def _of(self, name: str) -> dict[str, tuple[float, float | None]]:
        """Bits per byte and accuracy of each domain; no accuracy where answers were not asked for."""
        row, start, found = self._kept[name], 0, {}
        for domain, texts in self._texts.items():
            place = slice(start, start + len(texts))
            size = sum(len((example.response or "").encode()) for example in texts)
            right = row["right"][place]
            found[domain] = sum(row["bits"][place]) / size, None if None in right else float(np.mean(right))
            start += len(texts)
        return found

    def summary(self) -> list[dict[str, Any]]:
        """Per row the domains' scores, their mean, and the difference of that mean to the average's."""
        rows = []
        for name, row in self._kept.items():
            own = self._of(name)
            low, high = self._against(name, "average") if "average" in self._kept else (0.0, 0.0)
            rows.append(
                {
                    "name": name,
                    "domains": {d: {"bits_per_byte": b, "accuracy": a} for d, (b, a) in own.items()},
                    "bits_per_byte": float(np.mean([b for b, _ in own.values()])),
                    "accuracy": float(np.mean([a for _, a in own.values() if a is not None])),
                    "against_average": [low, high],
                    "rank": row["rank"],
                    "size": row["size"],
                }
            )
        return rows

    def _against(self, name: str, other: str) -> tuple[float, float]:
        """The 95 % interval of the difference in mean bits per byte, by drawing each domain's texts anew."""
        rng = np.random.default_rng(0)
        mine, theirs = (np.array(self._kept[n]["bits"]) for n in (name, other))
        total, start = np.zeros(2000), 0
        for texts in self._texts.values():
            sizes = np.array([len((example.response or "").encode()) for example in texts])
            drawn = start + rng.integers(0, len(texts), (2000, len(texts)))
            total += (mine[drawn] - theirs[drawn]).sum(axis=1) / sizes[drawn - start].sum(axis=1)
            start += len(texts)
        low, high = np.quantile(total / len(self._texts), [0.025, 0.975])
        return float(low), float(high)
