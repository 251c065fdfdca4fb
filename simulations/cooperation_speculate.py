"""Speculation measured: an untuned edge model drafts for its own tuned adapter, hosted by another process."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from renga.models.composed import Composed, Places
from renga.models.contract import Clearance, Prompt, Sampling
from renga.models.cooperation.drafters import ModelDrafter, lookup
from renga.models.cooperation.speculate import speculate
from renga.models.data import read_jsonl
from renga.models.example import Example
from renga.models.generate import generate
from renga.models.local import LocalModel
from renga.models.session_codec import id_width
from renga.simulations.bench_cooperation import Setting
from renga.simulations.bench_host import HostProcess
from renga.simulations.bench_tables import Sheet, texts
from renga.simulations.cooperation_steer import tuned
from renga.simulations.cooperation_world import questions, world
from renga.simulations.speculation_runs import (
    PLAIN,
    TEMPERATURES,
    TOKENS,
    Case,
    assisted,
    run,
    sheet,
    targets,
)

EDGE = "the untuned edge"
AT_A_TIME = 4  # drafts of what is uploaded: by what pays in seconds, here, there would be none
UPLOADED = 32  # rows' best tokens that travel with a draft where the drafter's law does


def measure(setting: Setting) -> dict[str, Any]:
    known, asked, groups = examples_of(setting)
    edge = setting.load(setting.edge)
    target = tuned(edge, known, setting)
    with (
        tempfile.TemporaryDirectory(prefix="renga-bench-") as folder,
        HostProcess(Path(folder), setting.edge, 1, target.adapter) as host,
    ):
        case = Case(
            target,
            lambda carrying: host.model(0, edge.vocabulary, carrying),
            {EDGE: ModelDrafter(edge), "prompt lookup": lookup()},
            [Prompt(e.prompt, Clearance.PUBLIC) for e in asked],
            groups,
            lambda: host.usage()["cpu"],
        )
        rows = run(case, setting.seed, setting.tell)
    peers = {
        f"the untuned edge, {AT_A_TIME} at a time, its {UPLOADED} best of a row uploaded": [
            uploading(case, edge, setting.seed)
        ]
    }
    apart = LocalModel.load(setting.edge)  # an assistant can't share modules with its target
    for name, helper in (
        ("transformers, assisted by the edge", apart),
        ("transformers, prompt lookup", None),
    ):
        peers[name] = [assisted(case, helper, t) for t in TEMPERATURES]
    return {"rows": rows, "peers": peers, "texts": len(asked), "tokens": TOKENS}


def examples_of(setting: Setting) -> tuple[list[Example], list[Example], list[str]]:
    """What the target is tuned on, what is asked, and of which domain that is."""
    count = setting.some(3)
    if setting.data is None:
        made = [
            Example(f"{a.passage}\n{a.question}", a.answer)
            for a in questions(world(setting.seed, 40), setting.seed, 80)
        ]
        return made[:-count], made[-count:], ["made up"] * count
    known: list[list[Example]] = []
    asked: list[Example] = []
    groups: list[str] = []
    for folder in sorted(path for path in setting.data.iterdir() if (path / "train.jsonl").is_file()):
        known.append(read_jsonl(folder / "train.jsonl"))
        asked += read_jsonl(folder / "validation.jsonl")[:count]
        groups += [folder.name] * count
    return [e for together in zip(*known, strict=False) for e in together], asked, groups


class Best:
    """A row cut to its best tokens and normalised: what a drafter whose law travels draws from."""

    def __init__(self, k: int) -> None:
        self.k = k

    def __call__(self, rows: Sequence[torch.Tensor], places: Places) -> torch.Tensor:
        (row,) = rows
        best = row.topk(min(self.k, row.shape[-1]), dim=-1)
        cut = torch.full_like(row, -math.inf).scatter(1, best.indices, best.values)
        return torch.log_softmax(cut, dim=-1)


def uploading(case: Case, edge: LocalModel, seed: int, tokens: int = TOKENS) -> dict[str, Any]:
    """Drafts whose law travels, by the classic rule: exact, since they are drawn from the very rows that are
    sent. Counted here; bytes are those of ids and float32 log-probabilities."""
    temperature = max(TEMPERATURES)
    model = speculate(Composed([edge], Best(UPLOADED)), case.alone, length=AT_A_TIME, accept="rejection")
    start = time.perf_counter()
    for i, prompt in enumerate(case.prompts):
        list(generate(model, prompt, Sampling(temperature, max_tokens=tokens, seed=seed + i)))
    seconds, tally = time.perf_counter() - start, model.tally
    width = id_width(edge.vocabulary.size)
    return {
        "temperature": temperature,
        "passes": tally.passes / tally.said,
        "agreed": tally.acceptance,
        "bytes_per_draft": width + UPLOADED * (width + 4),
        "seconds": seconds / tally.said,
    }


def sheets(result: Mapping[str, Any]) -> list[Sheet]:
    rows = result["rows"]
    note = (
        f"{result['texts']} held-out texts of all domains, at most {result['tokens']} tokens each; target "
        f"is {result['edge']} tuned on such, in a process of its own behind the real link on loopback. CPU "
        "is the server's, without the reading of prompts. Seconds: both processes "
        "share one core. Peers run in one process, without a round trip."
    )
    by_domain = []
    for group in dict.fromkeys(a["group"] for a in rows[0]["runs"][0]["answers"]):
        cells = []
        for row in rows:
            if row["temperature"] == 0 and row["way"] != PLAIN:
                answers = [a for r in row["runs"] for a in r["answers"] if a["group"] == group]
                tokens = sum(a["tokens"] for a in answers)
                cells.append(f"{sum(a['passes'] for a in answers) / max(1, tokens):.2f}")
        by_domain.append((group, f"{tokens / len(answers):.0f}", *cells))
    ways = [row["way"] for row in rows if row["temperature"] == 0 and row["way"] != PLAIN]
    return [
        targets(rows, EDGE),
        sheet("Drafts for a tuned model by what it was tuned from", rows, result["peers"], note),
        Sheet(
            "Passes per token, greedy, domain by domain",
            ("domain", "tokens of an answer", *ways),
            texts(by_domain),
            "Means over the round trips; the end of an answer counts as a token.",
        ),
    ]
