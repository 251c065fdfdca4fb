"""Retrieval measured: passages found, questions answered, queries that run right, paths that are followed."""

from __future__ import annotations

import random
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from renga.errors import RengaError
from renga.models.contract import Sampling
from renga.models.cooperation.database import SqliteDatabase
from renga.models.cooperation.dense import MeanStates, TokenVectors
from renga.models.cooperation.documents import Document
from renga.models.cooperation.graph import ByLikelihood, ByWords, Chooser, walks
from renga.models.cooperation.index import Hit, How, PassageIndex
from renga.models.cooperation.retrieve import framed
from renga.models.cooperation.sources import Finding, Passages
from renga.models.cooperation.spans import tokens
from renga.models.cooperation.sql_source import SqlSource
from renga.models.data import read_jsonl
from renga.models.generate import answer_many
from renga.models.local import LocalModel
from renga.simulations.bench_cooperation import Setting, interval, share
from renga.simulations.bench_tables import Sheet, texts
from renga.simulations.cooperation_library import OTHER_NAMES as LIBRARY_NAMES
from renga.simulations.cooperation_library import library, library_asked
from renga.simulations.cooperation_world import (
    OTHER_NAMES,
    Asked,
    World,
    passage_of,
    queries_asked,
    questions,
    renamed,
    walks_asked,
    world,
)

K = 4
READ = 2  # passages that are put before a question
BY_STATES = 16  # questions by the states of a model, which a pass has to make
CLAIMS = 100
QUERIES = 80  # questions to a database: milliseconds each, whatever the limit is
BY_MODEL = 8  # questions to a database that a model is asked, a few seconds each


def measure(setting: Setting) -> dict[str, Any]:
    found = world(setting.seed, 40)
    asked = questions(found, setting.seed, setting.some(40))
    edge = None if setting.bare else setting.load(setting.edge)
    setting.tell("passages")
    passages = _passages(found, asked, edge, setting)
    setting.tell("queries")
    queries = _queries(found, edge, setting)
    setting.tell("paths")
    paths = _paths(found, edge, setting)
    return {"passages": passages, "queries": queries, "paths": paths}


def _passages(
    found: World, asked: Sequence[Asked], edge: LocalModel | None, setting: Setting
) -> dict[str, Any]:
    documents = [
        Document(f"{w.name}.md", passage_of(w, random.Random(f"{setting.seed} {w.name}")))
        for w in found.works
    ]
    index = PassageIndex(embedder=TokenVectors(edge) if edge else None)
    start = time.perf_counter()
    index.update(documents)
    built = time.perf_counter() - start

    def holds(each: Asked, hit: Hit) -> bool:
        inside = tokens(each.answer)[0] in tokens(hit.passage.text)
        return inside and hit.passage.citation.source == each.source

    ways: tuple[How, ...] = ("words", "vectors", "both", "ranks") if edge else ("words",)
    every = [(a.question, partial(holds, a)) for a in asked]
    recall: dict[str, dict[str, Any]] = {how: _recall(index, every, how) for how in ways}
    if edge is not None:
        states = PassageIndex(embedder=MeanStates(edge))
        states.update(documents)
        recall["states"] = _recall(states, every[:BY_STATES], "vectors")
    claims = _claims(setting)
    public = PassageIndex(embedder=TokenVectors(edge) if edge else None)
    public.update([Document(passage, passage) for passage in dict.fromkeys(p for _, p in claims)])
    judged = [
        (claim, lambda hit, passage=passage: hit.passage.citation.source == passage)
        for claim, passage in claims[:CLAIMS]
    ]
    recalled = {how: _recall(public, judged, how) for how in ways} if claims else {}
    answered: dict[str, Any] = {}
    facts = {"built": built, "passages": len(index), "recall": recall, "answered": answered}
    facts |= {"claims": recalled, "public": len(public)}
    if edge is None:
        return facts
    source = Passages(index, how="both")
    asked = asked[: max(1, len(asked) // 2)]  # a pass over so many passages is what costs
    found_for = [source.find(a.question, READ) for a in asked]
    whole = [[Finding(a.passage, found_for[0][0].citation)] for a in asked]
    wordy = [Passages(index, how="words").find(a.question, READ) for a in asked]
    for name, given in (("nothing", [[] for _ in asked]), ("found by both", found_for),
                        ("found by words", wordy), ("the right passage", whole)):  # fmt: skip
        prompts = [framed(a.question, g) if g else a.question for a, g in zip(asked, given, strict=True)]
        answered[name] = {"right": answers_right(edge, prompts, asked), "tokens": _mean_tokens(edge, prompts)}
    return facts


def _recall(
    index: PassageIndex, asked: Sequence[tuple[str, Callable[[Hit], bool]]], how: How
) -> dict[str, Any]:
    """How often the first passages that are found to a question hold what they should."""
    start = time.perf_counter()
    rows = [index.search(question, K, how) for question, _ in asked]
    seconds = (time.perf_counter() - start) / len(asked)
    held = [[holds(hit) for hit in row] for row, (_, holds) in zip(rows, asked, strict=True)]
    return {"seconds": seconds, **{f"at_{k}": [any(row[:k]) for row in held] for k in (1, K)}}


def _claims(setting: Setting) -> list[tuple[str, str]]:
    """Claims that people wrote, with the passages that they are about: those that no weight was chosen by
    first."""
    if setting.data is None or not (setting.data / "factcheck").is_dir():
        return []
    found = []
    for split in ("validation", "public"):
        for example in read_jsonl(setting.data / "factcheck" / f"{split}.jsonl"):
            if parts := re.search(r"Passage: (.*?)\nClaim: (.*)", example.prompt, re.S):
                found.append((parts[2].strip(), parts[1].strip()))
    return found


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


def _queries(found: World, edge: LocalModel | None, setting: Setting) -> dict[str, Any]:
    """Over schemas that speak as the questions do, and over some that do not."""
    works, books = queries_asked(found, setting.seed, QUERIES), library_asked(setting.seed, QUERIES)
    by_model = min(BY_MODEL, setting.some(BY_MODEL))
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        for schema, path, asked, names in (
            ("names as asked", found.database(here / "1.db"), works, {}),
            ("other names", found.database(here / "2.db", OTHER_NAMES), works, OTHER_NAMES),
            ("a second schema", library(here / "3.db", setting.seed), books, {}),
            (
                "a second schema, other names",
                library(here / "4.db", setting.seed, other_names=True),
                books,
                LIBRARY_NAMES,
            ),
        ):
            database = SqliteDatabase(path)
            gold = [sorted(map(str, database.run(renamed(sql, names)).rows)) for _, sql in asked]
            for name, model, most in (
                ("linking alone", None, QUERIES),
                *([(f"linking and {setting.edge}", edge, by_model)] if edge else []),
            ):
                start = time.perf_counter()
                rows = [_rows(SqlSource(database, model), question) for question, _ in asked[:most]]
                result[f"{name}, {schema}"] = {
                    "right": [row == right for row, right in zip(rows, gold, strict=False)],
                    "ran": [row is not None for row in rows],
                    "seconds": (time.perf_counter() - start) / len(rows),
                }
    return result


def _rows(source: SqlSource, question: str) -> list[str] | None:
    """What the source's query gives, in order; None if none ran."""
    try:
        return sorted(map(str, source.query(question)[1].rows))
    except RengaError:
        return None


def _paths(found: World, edge: LocalModel | None, setting: Setting) -> dict[str, Any]:
    graph = found.graph()
    each = max(1, setting.some(36) // 3)
    asked = walks_asked(found, setting.seed, each)
    other = walks_asked(found, setting.seed, each, other_words=True)
    choosers: dict[str, Chooser] = {"chance": _by_chance(setting.seed), "shared words": ByWords()}
    if edge is not None:
        choosers[f"likelihood by {setting.edge}"] = ByLikelihood(edge)
    result: dict[str, Any] = {}
    wordings = {"": asked, ", other words": other}
    for name, choose in choosers.items():
        for wording, questions_ in wordings.items():
            right: dict[str, list[bool]] = {"1": [], "2": [], "3": []}
            among: dict[str, list[bool]] = {"1": [], "2": [], "3": []}
            start = time.perf_counter()
            for hops, question, answer in questions_:
                best = walks(graph, question, choose)
                right[str(hops)].append(bool(best) and answer in best[0].ends)
                among[str(hops)].append(any(answer in walk.ends for walk in best))
            seconds = (time.perf_counter() - start) / len(asked)
            result[name + wording] = {"right": right, "among": among, "seconds": seconds}
    return result


def _by_chance(seed: int) -> Chooser:
    generator = random.Random(seed)

    def choose(question: str, start: str, steps: Sequence[Any], choices: Sequence[Any]) -> list[float]:
        return [-generator.random() for _ in choices]

    return choose


def sheets(result: Mapping[str, Any]) -> list[Sheet]:
    passages, edge = result["passages"], result["edge"]
    names = {
        "words": "words (BM25)",
        "vectors": f"vectors ({edge}, its embeddings)",
        "both": "both, by score (as it is done)",
        "ranks": "both, by rank",
        "states": f"vectors ({edge}, means of its last states)",
    }
    found, claims = (
        [
            (names[how], interval(r["at_1"]), interval(r[f"at_{K}"]), f"{1000 * r['seconds']:.0f} ms")
            for how, r in passages[kind].items()
        ]
        for kind in ("recall", "claims")
    )
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
    n = len(passages["recall"]["words"]["at_1"])
    sheets_ = [
        Sheet(
            "Passages found",
            ("by", "in the first", f"in the first {K}", "a search"),
            texts(found),
            f"{n} questions, {passages['passages']} passages of 40 documents; the index was built in "
            f"{passages['built']:.0f} s. In brackets: 95 % intervals. Half of the questions name a work, the "
            "others say what it is in other words; towns' names are rare words, which words find.",
        ),
        Sheet(
            "Queries by grammar",
            ("by", "rows are right", "ran", "a question"),
            texts(queries),
            f"{QUERIES} questions each, {BY_MODEL} at most with a model. SQLite, two tables, joins, "
            "aggregates, orders; right is the same rows as the right query gives. "
            "The questions were made by the hand that wrote the grammar: with names as asked this says that "
            "it works, not that it would on anybody's questions. Other names: the schema uses none of the "
            "questions' words. The second schema, books and authors, was written before any query to it was "
            "tried.",
        ),
        Sheet(
            "Paths in a graph: the best is right / right among three",
            ("relations chosen by", "1 edge", "2 edges", "3 edges", "a question"),
            texts(paths),
            "The questions use the words of the relations; with other words they use none of them.",
        ),
    ]
    if claims:
        count = len(passages["claims"]["words"]["at_1"])
        note = (
            f"{count} claims that people wrote, of the validation split of factcheck; {passages['public']} "
            "passages. How vectors are made and what they count was chosen on the training split."
        )
        sheets_.insert(1, Sheet("Passages found to claims", sheets_[0].heads, texts(claims), note))
    if answered:
        count = len(passages["answered"]["nothing"]["right"])
        heads = ("by", "right", "tokens of the prompt")
        note = f"The first {count} of them, {READ} passages each."
        sheets_.insert(2 if claims else 1, Sheet("Questions answered", heads, texts(answered), note))
    return sheets_
