"""Retrieval measured: passages found, questions answered, queries that run right, paths that are followed."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from renga.errors import RengaError
from renga.models.contract import Sampling
from renga.models.cooperation.database import SqliteDatabase
from renga.models.cooperation.dense import MeanStates
from renga.models.cooperation.documents import Document
from renga.models.cooperation.graph import ByLikelihood, ByWords, Chooser, walks
from renga.models.cooperation.index import How, PassageIndex
from renga.models.cooperation.retrieve import framed
from renga.models.cooperation.sources import Finding, Passages
from renga.models.cooperation.spans import tokens
from renga.models.cooperation.sql_source import SqlSource
from renga.models.generate import answer_many
from renga.models.local import LocalModel
from renga.simulations.bench_cooperation import Setting, interval, share
from renga.simulations.bench_tables import Sheet, texts
from renga.simulations.cooperation_world import (
    Asked,
    World,
    passage_of,
    queries_asked,
    questions,
    walks_asked,
    world,
)

K = 4
READ = 2  # passages that are put before a question


def measure(setting: Setting) -> dict[str, Any]:
    found = world(setting.seed, 40)
    asked = questions(found, setting.seed, setting.some(40))
    edge = setting.load(setting.edge)
    setting.tell("passages")
    passages = _passages(found, asked, edge, setting)
    setting.tell("queries")
    queries = _queries(found, edge, setting)
    setting.tell("paths")
    paths = _paths(found, edge, setting)
    return {"passages": passages, "queries": queries, "paths": paths}


def _passages(found: World, asked: Sequence[Asked], edge: LocalModel, setting: Setting) -> dict[str, Any]:
    index = PassageIndex(embedder=MeanStates(edge))
    start = time.perf_counter()
    index.update(
        [
            Document(f"{w.name}.md", passage_of(w, random.Random(f"{setting.seed} {w.name}")))
            for w in found.works
        ]
    )
    built = time.perf_counter() - start
    recall: dict[str, dict[str, Any]] = {}
    ways: tuple[How, ...] = ("words", "vectors", "both")
    for how in ways:
        start = time.perf_counter()
        hits = [index.search(a.question, K, how) for a in asked]
        seconds = (time.perf_counter() - start) / len(asked)
        held = [
            [
                tokens(a.answer)[0] in tokens(h.passage.text) and h.passage.citation.source == a.source
                for h in row
            ]
            for a, row in zip(asked, hits, strict=True)
        ]
        recall[how] = {
            "seconds": seconds,
            **{f"at_{k}": [any(row[:k]) for row in held] for k in (1, K)},
        }
    answered: dict[str, Any] = {}
    source = Passages(index, how="both")
    asked = asked[: max(1, len(asked) // 2)]  # a pass over so many passages is what costs
    found_for = [source.find(a.question, READ) for a in asked]
    whole = [[Finding(a.passage, found_for[0][0].citation)] for a in asked]
    wordy = [Passages(index, how="words").find(a.question, READ) for a in asked]
    for name, given in (("nothing", [[] for _ in asked]), ("found by both", found_for),
                        ("found by words", wordy), ("the right passage", whole)):  # fmt: skip
        prompts = [framed(a.question, g) if g else a.question for a, g in zip(asked, given, strict=True)]
        answered[name] = {"right": answers_right(edge, prompts, asked), "tokens": _mean_tokens(edge, prompts)}
    return {"built": built, "passages": len(index), "recall": recall, "answered": answered}


def answers_right(
    model: LocalModel, prompts: Sequence[str], asked: Sequence[Asked], batch: int = 8
) -> list[bool]:
    """Whether the greedy answer to each prompt holds the right answer's words, in order."""
    said = answer_many(model, list(prompts), Sampling(max_tokens=24), batch=batch)
    return [
        f" {' '.join(tokens(a.answer))} " in f" {' '.join(tokens(given.text))} "
        for given, a in zip(said, asked, strict=True)
    ]


def _mean_tokens(model: LocalModel, prompts: Sequence[str]) -> float:
    return sum(len(ids) for ids in model.vocabulary.encode_many(list(prompts))) / len(prompts)


def _queries(found: World, edge: LocalModel, setting: Setting) -> dict[str, Any]:
    asked = queries_asked(found, setting.seed, setting.some(40))
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        database = SqliteDatabase(found.database(Path(folder) / "world.db"))
        for name, model in (("linking alone", None), (f"linking and {setting.edge}", edge)):
            right, ran, start = [], [], time.perf_counter()
            for question, gold in asked:
                wanted = sorted(map(str, database.run(gold).rows))
                try:
                    _, got = SqlSource(database, model).query(question)
                    ran.append(True)
                    right.append(sorted(map(str, got.rows)) == wanted)
                except RengaError:
                    ran.append(False)
                    right.append(False)
            seconds = (time.perf_counter() - start) / len(asked)
            result[name] = {"right": right, "ran": ran, "seconds": seconds}
    return result


def _paths(found: World, edge: LocalModel, setting: Setting) -> dict[str, Any]:
    graph = found.graph()
    asked = walks_asked(found, setting.seed, max(1, setting.some(36) // 3))
    choosers: dict[str, Chooser] = {
        "chance": _by_chance(setting.seed),
        "shared words": ByWords(),
        f"likelihood by {setting.edge}": ByLikelihood(edge),
    }
    result: dict[str, Any] = {}
    for name, choose in choosers.items():
        right: dict[str, list[bool]] = {"1": [], "2": [], "3": []}
        among: dict[str, list[bool]] = {"1": [], "2": [], "3": []}
        start = time.perf_counter()
        for hops, question, answer in asked:
            best = walks(graph, question, choose)
            right[str(hops)].append(bool(best) and answer in best[0].ends)
            among[str(hops)].append(any(answer in walk.ends for walk in best))
        seconds = (time.perf_counter() - start) / len(asked)
        result[name] = {"right": right, "among": among, "seconds": seconds}
    return result


def _by_chance(seed: int) -> Chooser:
    generator = random.Random(seed)

    def choose(question: str, start: str, steps: Sequence[Any], choices: Sequence[Any]) -> list[float]:
        return [-generator.random() for _ in choices]

    return choose


def sheets(result: Mapping[str, Any]) -> list[Sheet]:
    passages, edge = result["passages"], result["edge"]
    names = {"words": "words (BM25)", "vectors": f"vectors ({edge}, mean of states)", "both": "both, by rank"}
    rows = [
        (names[how], interval(r["at_1"]), interval(r[f"at_{K}"]), f"{1000 * r['seconds']:.0f} ms")
        for how, r in passages["recall"].items()
    ]
    answered = [
        (f"{edge}, given {name}", interval(r["right"]), f"{r['tokens']:.0f}")
        for name, r in passages["answered"].items()
    ]
    queries = [
        (name, interval(r["right"]), f"{share(r['ran']):.0%}", f"{r['seconds']:.2f} s")
        for name, r in result["queries"].items()
    ]
    paths = [
        (
            name,
            *(f"{share(r['right'][hops]):.0%} / {share(r['among'][hops]):.0%}" for hops in "123"),
            f"{r['seconds']:.2f} s",
        )
        for name, r in result["paths"].items()
    ]
    n = len(passages["recall"]["both"]["at_1"])
    return [
        Sheet(
            "Passages found",
            ("by", "in the first", f"in the first {K}", "a search"),
            texts(rows),
            f"{n} questions, {passages['passages']} passages of 40 documents; the index was built in "
            f"{passages['built']:.0f} s. In brackets: 95 % intervals.",
        ),
        Sheet(
            "Questions answered",
            ("by", "right", "tokens of the prompt"),
            texts(answered),
            f"The first {len(passages['answered']['nothing']['right'])} of them, {READ} passages each.",
        ),
        Sheet(
            "Queries by grammar",
            ("by", "rows are right", "ran", "a question"),
            texts(queries),
            "SQLite, two tables, joins, aggregates, orders; right is the same rows as the right query gives.",
        ),
        Sheet(
            "Paths in a graph: the best is right / right among three",
            ("relations chosen by", "1 edge", "2 edges", "3 edges", "a question"),
            texts(paths),
        ),
    ]
