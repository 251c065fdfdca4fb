"""Soft prompts measured: slots against pruned words, at as many places of the host's context and at as many
bytes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from renga.models.contract import LanguageModel, Prompt
from renga.models.cooperation.compress import compress
from renga.models.cooperation.likelihood import scored
from renga.models.cooperation.soft import SoftModel, train_soft
from renga.simulations.bench_cooperation import Setting, interval
from renga.simulations.bench_tables import Sheet, texts
from renga.simulations.cooperation_world import Asked, questions, world

SLOTS = (4, 16)
EPOCHS = 2
ID_BYTES = 3  # of a token's id on the wire


def measure(setting: Setting) -> dict[str, Any]:
    """Trained on passages of other worlds, asked about one that it has not seen."""
    edge, host = setting.load(setting.edge), setting.load(setting.host)
    count = setting.some(24)
    asked = questions(world(setting.seed, 40), setting.seed, count)
    lessons = [
        (a.passage, a.question, a.answer)
        for other in range(1, 4)
        for a in questions(world(setting.seed + other, 40), setting.seed + other, 2 * count)
    ]
    whole = [len(host.vocabulary.encode(a.passage)) for a in asked]
    rows: dict[str, dict[str, Any]] = {
        "the whole passage": _row(host, [a.passage for a in asked], asked, sum(whole) / len(whole), ID_BYTES),
        "no passage": _row(host, [""] * len(asked), asked, 0, 0),
    }
    trained = {}
    for slots in SLOTS:
        setting.tell(f"  training {slots} slots")
        start = time.perf_counter()
        made = train_soft(edge, host, lessons, slots=slots, epochs=EPOCHS, seed=setting.seed)
        trained[str(slots)] = time.perf_counter() - start
        model = SoftModel(host, edge, made)
        rows[f"{slots} slots"] = _row(model, [a.passage for a in asked], asked, slots, made.bytes_per_slot)
        for name, budget in (("places", slots), ("bytes", slots * made.bytes_per_slot // ID_BYTES)):
            cut = [
                compress(a.passage, budget, "overlap", question=a.question,
                         count=lambda text: len(host.vocabulary.encode(text))).text
                for a in asked
            ]  # fmt: skip
            tokens = sum(len(host.vocabulary.encode(text)) for text in cut) / len(cut)
            rows[f"pruned to the {name} of {slots} slots"] = _row(host, cut, asked, tokens, ID_BYTES)
    return {"rows": rows, "trained": trained, "lessons": len(lessons), "questions": len(asked)}


def _row(
    model: LanguageModel, contexts: Sequence[str], asked: Sequence[Asked], places: float, each: int
) -> dict[str, Any]:
    """Right: the answer is likelier, per byte, than those to four other questions of the same kind."""
    right, nats, start = [], 0.0, time.perf_counter()
    for context, a in zip(contexts, asked, strict=True):
        kind = a.question.split()[:3]
        others = [o.answer for o in asked if o.question.split()[:3] == kind and o.answer != a.answer][:4]
        prompt = Prompt(f"{context}\n\n{a.question}" if context else a.question)
        found = [s.per_byte for s in scored(model, prompt, [a.answer, *others])]
        right.append(found[0] >= max(found))
        nats -= found[0]
    seconds = (time.perf_counter() - start) / len(asked)
    bits = nats / len(asked) / float(torch.log(torch.tensor(2.0)))
    return {
        "right": right,
        "bits_per_byte": bits,
        "places": places,
        "bytes": places * each,
        "seconds": seconds,
    }


def sheets(result: Mapping[str, Any]) -> list[Sheet]:
    rows = [
        (
            name,
            interval(r["right"]),
            f"{r['bits_per_byte']:.2f}",
            f"{r['places']:.0f}",
            f"{r['bytes']:,.0f}",
            f"{r['seconds']:.2f} s",
        )
        for name, r in result["rows"].items()
    ]
    times = ", ".join(f"{slots} slots {seconds:.0f} s" for slots, seconds in result["trained"].items())
    return [
        Sheet(
            f"A passage as slots that {result['edge']} makes for {result['host']}",
            ("what the host reads", "right of five", "bits per byte", "places", "bytes", "a question"),
            texts(rows),
            f"{result['questions']} questions about passages that were not trained on; trained on "
            f"{result['lessons']} others, {EPOCHS} times: {times}. Right: the answer is likelier than those "
            f"to up to four questions of its kind. Slots go in 8 bits, ids in {ID_BYTES} bytes each. Pruned "
            "by shared words.",
        )
    ]
