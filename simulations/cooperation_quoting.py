"""Speculation measured on a model tuned to quote: what it says stands in the prompt, which drafts for it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renga.models.contract import Clearance, Prompt
from renga.models.cooperation.drafters import either, lookup
from renga.models.example import Example
from renga.simulations.bench_cooperation import Setting
from renga.simulations.bench_host import HostProcess
from renga.simulations.bench_tables import Sheet
from renga.simulations.cooperation_steer import tuned
from renga.simulations.cooperation_world import Asked, questions, quoted_sentence, world
from renga.simulations.speculation_runs import TEMPERATURES, TOKENS, Case, assisted, run, sheet, targets

LOOKUP = "prompt lookup"
TAUGHT = 12_000  # tokens: a model that has learned less still says other things when it is sampled
SURE = 12  # bytes that must be the same for a lookup to go before a model's guess


def measure(setting: Setting) -> dict[str, Any]:
    """The edge model, tuned on passages of another world, answers from the passages of this one."""
    edge = setting.load(setting.edge)
    lessons = questions(world(setting.seed + 1, 40), setting.seed + 1, 80)
    target = tuned(edge, [Example(asking(a), quoted_sentence(a)) for a in lessons], setting, TAUGHT)
    asked = questions(world(setting.seed, 40), setting.seed, setting.some(6))
    with (
        tempfile.TemporaryDirectory(prefix="renga-bench-") as folder,
        HostProcess(Path(folder), setting.edge, 1, target.adapter) as host,
    ):
        case = Case(
            target,
            lambda carrying: host.model(0, edge.vocabulary, carrying),
            {LOOKUP: lookup(), "the untuned edge where that is unsure": either(lookup(least=SURE), edge)},
            [Prompt(asking(a), Clearance.PUBLIC) for a in asked],
            ["passages"] * len(asked),
            lambda: host.usage()["cpu"],
        )
        rows = run(case, setting.seed, setting.tell)
    peers = {"transformers, prompt lookup": [assisted(case, None, t) for t in TEMPERATURES]}
    return {"rows": rows, "peers": peers, "texts": len(asked), "tokens": TOKENS}


def asking(asked: Asked) -> str:
    """A question about a passage whose answer is a sentence of it."""
    return f"{asked.passage}\n\nQuote the sentence that answers: {asked.question}"


def sheets(result: Mapping[str, Any]) -> list[Sheet]:
    note = (
        f"{result['texts']} passages with a question whose sentence is to be quoted, {result['tokens']} "
        f"tokens at most; the target is {result['edge']}, tuned on passages of another made-up world. "
        "Otherwise as above."
    )
    drafts = sheet("Drafts for a model that quotes", result["rows"], result["peers"], note)
    return [targets(result["rows"], LOOKUP), drafts]
