"""Speculation measured on passages: the prompt drafts for the host, and an edge model of other tokens."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renga.models.contract import Clearance, Prompt
from renga.models.cooperation.drafters import ModelDrafter, lookup
from renga.simulations.bench_cooperation import Setting
from renga.simulations.bench_host import HostProcess
from renga.simulations.bench_tables import Sheet
from renga.simulations.cooperation_quoting import asking
from renga.simulations.cooperation_world import questions, world
from renga.simulations.speculation_runs import TEMPERATURES, TOKENS, Case, assisted, run, sheet, targets


def measure(setting: Setting) -> dict[str, Any]:
    edge, host = setting.load(setting.edge), setting.load(setting.host)
    asked = questions(world(setting.seed, 40), setting.seed, setting.some(4))
    with (
        tempfile.TemporaryDirectory(prefix="renga-bench-") as folder,
        HostProcess(Path(folder), setting.host) as there,
    ):
        case = Case(
            host,
            lambda carrying: there.model(0, host.vocabulary, carrying),
            {"prompt lookup": lookup(), "the edge, of other tokens": ModelDrafter(edge)},
            [Prompt(asking(a), Clearance.PUBLIC) for a in asked],
            ["passages"] * len(asked),
            lambda: there.usage()["cpu"],
        )
        rows = run(case, setting.seed, setting.tell)
    peers = {
        "transformers, prompt lookup": [assisted(case, None, t) for t in TEMPERATURES],
        "transformers, assisted by the edge": [assisted(case, edge, t) for t in TEMPERATURES],
    }
    return {"rows": rows, "peers": peers, "texts": len(asked), "tokens": TOKENS}


def sheets(result: Mapping[str, Any]) -> list[Sheet]:
    note = (
        f"{result['texts']} passages with a question whose sentence is to be quoted, {result['tokens']} "
        f"tokens each; the host is {result['host']}, untuned, the edge {result['edge']}, of other tokens. "
        "Otherwise as above."
    )
    drafts = sheet("Drafts for the host on passages", result["rows"], result["peers"], note)
    return [targets(result["rows"], "prompt lookup"), drafts]
