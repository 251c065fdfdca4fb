"""Steering measured: how much of what tuning would do to the host a tuned client does to it from outside."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from renga.models.contract import LanguageModel, Prompt
from renga.models.cooperation.contrast import contrast
from renga.models.cooperation.layers import dola
from renga.models.cooperation.likelihood import scored
from renga.models.cooperation.steer import steer
from renga.models.data import read_jsonl
from renga.models.ensemble.translate import translate
from renga.models.example import Example
from renga.models.local import LocalModel
from renga.models.scoring import encode_texts
from renga.models.training import Learning, Lesson, learn
from renga.simulations.bench_cooperation import Setting
from renga.simulations.bench_tables import Sheet, texts
from renga.simulations.cooperation_world import questions, world

TOKENS = 4_000  # that either model is tuned on
STRENGTHS = (0.5, 1.0, 1.5)


def measure(setting: Setting) -> dict[str, Any]:
    known, asked = _texts(setting)
    edge, host = setting.load(setting.edge), setting.load(setting.host)
    tuned_edge = tuned(edge, known, setting)
    tuned_host = tuned(host, known, setting)
    moved = translate(tuned_edge, host), translate(edge, host)
    models: dict[str, LanguageModel] = {
        "edge, untuned": edge,
        "edge, tuned (control)": tuned_edge,
        "host, untuned": host,
        "host, tuned (what steering stands in for)": tuned_host,
        **{f"host steered, strength {s:g}": steer(host, *moved, strength=s) for s in STRENGTHS},
        "host steered by its own tuning (check)": steer(host, tuned_host, host),
        "host contrasted with the edge": contrast(host, moved[1], plausibility=1e-6),
        "host, dola": dola(host, layers="high", plausibility=1e-6),
    }
    rows = {}
    for name, model in models.items():
        setting.tell(f"  {name}")
        start = time.perf_counter()
        rows[name] = {"bits_per_byte": _bits(model, asked), "seconds": time.perf_counter() - start}
    return {"texts": len(asked), "trained_on": len(known), "tokens": TOKENS, "rows": rows}


def _texts(setting: Setting) -> tuple[list[Example], list[Example]]:
    """What is tuned on, and what is asked: a domain's, or the made-up world's."""
    count = setting.some(16)
    if setting.data is not None:
        folder = setting.data / "intent"
        return read_jsonl(folder / "train.jsonl"), read_jsonl(folder / "validation.jsonl")[:count]
    made = questions(world(setting.seed, 40), setting.seed, 80)
    examples = [Example(f"{a.passage}\n{a.question}", a.answer) for a in made]
    return examples[:-count], examples[-count:]


def tuned(
    model: LocalModel, known: Sequence[Example], setting: Setting, tokens: int | None = None
) -> LocalModel:
    """The model with an adapter that has learned from so many tokens; None: `TOKENS`."""
    setting.tell(f"  tuning {model.weights.reference}")
    weights = model.weights
    lessons = [Lesson(text) for text in encode_texts(weights, known)]
    fresh = weights.fresh_adapter(8, 16.0, "all", setting.seed)
    learned = learn(weights, fresh, lessons, Learning(rate=1e-3, tokens=tokens or TOKENS, seed=setting.seed))
    return LocalModel(weights, learned.adapter)


def _bits(model: LanguageModel, asked: Sequence[Example]) -> float:
    """Bits per byte of the responses, over all texts."""
    bits = size = 0.0
    for example in asked:
        (found,) = scored(model, Prompt(example.prompt), [example.response or ""])
        bits -= found.total / 0.6931471805599453
        size += len((example.response or "").encode())
    return bits / max(1.0, size)


def sheets(result: Mapping[str, Any]) -> list[Sheet]:
    found = result["rows"]
    base = found["host, untuned"]["bits_per_byte"]
    goal = found["host, tuned (what steering stands in for)"]["bits_per_byte"]
    rows = [
        (
            name,
            f"{r['bits_per_byte']:.3f}",
            f"{(base - r['bits_per_byte']) / (base - goal):.0%}"
            if name.startswith("host") and base != goal
            else "",
            f"{r['seconds'] / result['texts']:.2f} s",
        )
        for name, r in found.items()
    ]
    return [
        Sheet(
            "Steering the host by a client's tuned model",
            ("model", "bits per byte", "of the gap closed", "a text"),
            texts(rows),
            f"Host {result['host']}, edge {result['edge']}, of other tokens: its rows are translated. Both "
            f"were tuned on {result['tokens']:,} tokens of the same {result['trained_on']} texts; "
            f"{result['texts']} others are scored. The gap is that between the host untuned and tuned. "
            "Contrast and DoLa are made for decoding, and bits per byte are hard on them; their plausibility "
            "is 1e-6 here, not to lose a text to the mask.",
        )
    ]
