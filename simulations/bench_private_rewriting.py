"""`renga bench private-rewriting`: does a question that asks for less still ask it, and does merging help?

Every question goes the way of `renga ask --rewrite`: what leaves is what grammar shows or the edge model
writes, the host answers that behind three public exchanges, the edge merges. Of the same questions the edge
alone and the host, asked plain, are told too.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from renga.asking_indirectly import ask_indirectly, rewritten
from renga.asking_less import asked_for
from renga.client.sanitisation.desk import Desk
from renga.models.contract import Prompt, Sampling
from renga.models.generate import answer
from renga.models.local import LocalModel
from renga.simulations.bench_private_answers import BEFORE, heard
from renga.simulations.bench_tables import Sheet
from renga.simulations.private_rewriting import Told
from renga.simulations.runs import write_whole


@dataclass(frozen=True)
class Asked:
    """One question: what left, by whom it was found (grammar or model), what came back, and what was made of
    it; told: what was written before it was sanitised."""

    left: str
    grammar: bool
    told: list[str]
    came: str
    merged: str
    alone: str
    plain: str


def measure(
    host: LocalModel,
    edge: LocalModel,
    asked: Sequence[Told],
    sampling: Sampling,
    tell: Callable[[str], None],
    keep: Path | None = None,
) -> dict[str, Any]:
    """keep: a file that holds the questions that are through, so that a run that was stopped goes on."""
    rows: list[dict[str, Any]] = []
    if keep is not None and keep.exists():
        rows = json.loads(keep.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder) / "vault.db")
        for place, one in enumerate(asked[len(rows) :], len(rows)):
            tell(f"question {place + 1} of {len(asked)}")
            rows.append(asdict(_ask(host, edge, one, sampling, desk)))
            if keep is not None:
                write_whole(keep, json.dumps(rows, ensure_ascii=False, indent=1))
    return {"questions": len(asked), "rows": rows, "counts": counts(asked, rows)}


def _ask(host: LocalModel, edge: LocalModel, one: Told, sampling: Sampling, desk: Desk) -> Asked:
    def by(model: LocalModel, text: str) -> str:
        return heard(answer(model, Prompt(text, before=BEFORE), sampling))

    came: list[str] = []
    said: list[str] = []
    told: list[str] = []
    writes = rewritten(edge, sampling)

    def leaving(text: str) -> str:
        told.append(writes(text))
        return told[-1]

    def answered(clean: str, write: Callable[[str], None]) -> None:
        came.append(by(host, clean))
        write(came[-1])

    left = ask_indirectly(edge, leaving, answered, one.question, sampling, desk, said.append)
    grammar = bool(asked_for(one.question, desk.sanitiser(None).find(one.question))) or not told
    return Asked(left, grammar, told, came[0], "".join(said), by(edge, one.question), by(host, one.question))


def counts(asked: Sequence[Told], rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many of the questions: see the heads of the sheet."""
    pairs = list(zip(asked, rows, strict=True))
    found = {
        "by grammar": sum(row["grammar"] for _, row in pairs),
        "keeps what was asked": sum(one.is_kept(row["left"]) for one, row in pairs),
        "tells something private": sum(one.tells(row["left"]) for one, row in pairs),
        "right before merging": sum(one.is_right(row["came"]) for one, row in pairs),
        "right after merging": sum(one.is_right(row["merged"]) for one, row in pairs),
        "won by merging": sum(one.is_right(row["merged"]) > one.is_right(row["came"]) for one, row in pairs),
        "lost by merging": sum(one.is_right(row["merged"]) < one.is_right(row["came"]) for one, row in pairs),
        "edge alone right": sum(one.is_right(row["alone"]) for one, row in pairs),
        "host, asked plain, right": sum(one.is_right(row["plain"]) for one, row in pairs),
    }
    return found


def private_rewriting_sheets(result: dict[str, Any]) -> list[Sheet]:
    """One row per count."""
    rows = tuple((name, f"{count} of {result['questions']}") for name, count in result["counts"].items())
    return [Sheet("Rewritten questions", ("", "questions"), rows, note=f"Seed {result['seed']}.")]
