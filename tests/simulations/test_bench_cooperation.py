"""The cooperation benchmark: its world is the same again, its answers are right, its parts run."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest

from renga.errors import UsageError
from renga.models.contract import Clearance, Prompt, Sampling
from renga.models.cooperation.consistency import Exact
from renga.models.cooperation.database import SqliteDatabase
from renga.models.cooperation.drafters import ModelDrafter
from renga.models.generate import generate
from renga.models.local import LocalModel
from renga.models.remote import RemoteModel
from renga.simulations import (
    cooperation_across,
    cooperation_guide,
    cooperation_retrieve,
    cooperation_steer,
    speculation_runs,
)
from renga.simulations.bench_cooperation import BARE, PARTS, Setting, interval, measure, part, share
from renga.simulations.bench_tables import markdown
from renga.simulations.cooperation_across import _learned
from renga.simulations.cooperation_library import OTHER_NAMES as LIBRARY_NAMES
from renga.simulations.cooperation_library import library, library_asked
from renga.simulations.cooperation_retrieve import _queries
from renga.simulations.cooperation_speculate import uploading
from renga.simulations.cooperation_world import (
    edited,
    passage_of,
    queries_asked,
    questions,
    quoted_sentence,
    renamed,
    walks_asked,
    world,
)
from renga.simulations.speculation_runs import PLAIN, Case, assisted, flips, run, sheet, targets
from tests.models.test_remote import world as linked  # noqa: F401 the fixture
from tests.models.tiny_models import chat_tokenizer, llama, save_folder
from tests.models.tiny_weights import tiny

APART = ("speculation", "lookup", "quoting")  # their host is a process of its own


def test_a_world_is_the_same_again_and_others_differ() -> None:
    assert world(3) == world(3) and world(3) != world(4)
    assert questions(world(3), 3, 9) == questions(world(3), 3, 9)


def test_answers_stand_in_the_passages() -> None:
    asked = questions(world(0, 40), 0, 80)
    assert len(asked) == 80 and len({a.question for a in asked}) > 60
    for each in asked:
        assert each.answer in each.passage


def test_edited_answers_are_told_apart_by_their_values() -> None:
    made = edited(world(0, 40), 0, 60)
    holding = sum(holds for _, _, holds, _ in made)
    assert abs(2 * holding - len(made)) <= 2
    for question, answer, holds, passage in made:
        if any(c.isdigit() for c in answer):
            worst = max(mark.score for mark in Exact([passage]).inspect(Prompt(question), answer))
            assert (worst > 0.5) is not holds


def test_paths_and_queries_have_the_answers_they_say(tmp_path) -> None:
    found = world(1)
    by_name = {work.name: work for work in found.works}
    for hops, question, answer in walks_asked(found, 1, 10):
        work = next(work for name, work in by_name.items() if name in question)
        if hops == 3:
            assert answer == found.mayors[found.born[work.founder]]
        assert any(answer in (t.subject, t.object) for t in found.graph().triples)
    database = SqliteDatabase(found.database(tmp_path / "w.db"))
    for _, sql in queries_asked(found, 1, 40):
        assert database.run(sql).rows
    for other_names in (False, True):
        names = LIBRARY_NAMES if other_names else {}
        books = SqliteDatabase(library(tmp_path / f"{other_names}.db", 1, other_names=other_names))
        for _, sql in library_asked(1, 40):
            assert books.run(renamed(sql, names)).rows
    for each in questions(found, 1, 20):
        assert each.answer in quoted_sentence(each) in each.passage
    assert passage_of(found.works[0], random.Random(0)).count(found.works[0].name) >= 2


@pytest.mark.parametrize("name", [name for name in PARTS if name not in APART])
def test_every_part_runs_on_tiny_models(name: str, monkeypatch) -> None:
    monkeypatch.setattr(cooperation_steer, "TOKENS", 200)
    monkeypatch.setattr(cooperation_guide, "TOKENS", 4)
    monkeypatch.setattr(cooperation_retrieve, "QUERIES", 4)
    monkeypatch.setattr(cooperation_retrieve, "BY_MODEL", 1)
    models = {"edge": LocalModel(tiny("llama")), "host": LocalModel(tiny("gemma3"))}
    setting = Setting(
        "edge", "host", 1 if name == "guiding" else 2, 0, None, lambda line: None, models.__getitem__
    )
    result = measure(name, setting)
    text = markdown(part(name).sheets(result))
    assert text.count("| --- |") >= 1 and "nan" not in text.replace("nano", "")


def test_drafts_over_a_link_are_counted_and_held_to_the_target(linked, monkeypatch) -> None:  # noqa: F811
    monkeypatch.setattr(speculation_runs, "ROUND_TRIPS", (0.0, 0.01))
    weights, dial = linked
    alone = LocalModel(weights)
    case = Case(
        alone,
        lambda carrying: (
            RemoteModel(lambda: carrying(dial()), "host", weights.vocabulary),
            lambda: None,
        ),
        {"itself": ModelDrafter(alone)},
        [Prompt("Who counts?", Clearance.PUBLIC)],
        ["a"],
        lambda: 0.0,
    )
    rows = run(case, 3, lambda line: None, tokens=10)
    assert [row["way"] for row in rows] == [PLAIN, "itself"] * 2
    for row in rows:
        for found in row["runs"]:
            assert all(a["same"] or a["flip"] for a in found["answers"])
            assert found["passes"] == 1 if row["way"] == PLAIN else found["passes"] < 0.5
            assert row["way"] == PLAIN or found["id_bytes"] < 5 * found["drafted"] < found["bytes_up"] * 5
    peer = uploading(case, alone, 0, tokens=8)
    assert peer["passes"] < 0.5 and peer["bytes_per_draft"] > 100
    found = assisted(case, None, 0.0, tokens=4)
    text = markdown([targets(rows, "itself"), sheet("t", rows, {"peer": [found, peer]}, "")])
    assert "missed" not in text and "1.00 / 1.00" in text


def test_answers_part_at_a_near_tie_or_they_are_others() -> None:
    model, prompt, how = LocalModel(tiny("llama")), Prompt("Who counts?"), Sampling(max_tokens=6)
    said = list(generate(model, prompt, how))
    other = [*said[:3], (said[3] + 1) % model.vocabulary.size]
    assert not flips(model, prompt, how, said, other)


def test_a_router_learns_from_verdicts_of_a_reviewer_who_errs(monkeypatch) -> None:
    monkeypatch.setattr(cooperation_across, "DRAWS", 2)
    generator = np.random.default_rng(0)
    side = generator.integers(0, 2, 60)
    features = generator.normal(size=(60, 5)) + 3 * side[:, None]
    right = np.array([side == 0, side == 1])
    found = _learned(features, right, 0)
    assert found["blind"] == 0.5 and found["usable"] == 60
    assert found["by_chance"]["32"] > 0.85 and found["by_choice"]["32"] > 0.85
    assert _learned(features, right & False, 0)["by_chance"] == {}


@pytest.mark.slow
def test_a_part_with_a_host_in_a_process_of_its_own_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # a located model sets it
    monkeypatch.setattr(speculation_runs, "ROUND_TRIPS", (0.0,))
    folder = save_folder(tmp_path / "model", llama(), chat_tokenizer())
    known = cache(LocalModel.load)
    result = measure("lookup", Setting(str(folder), str(folder), 1, 0, None, lambda line: None, known))
    assert "at most 5 bytes" in markdown(part("lookup").sheets(result))


@pytest.mark.parametrize("name", BARE)
def test_what_needs_no_model_loads_none(name: str, monkeypatch) -> None:
    def load(reference: str) -> LocalModel:
        raise AssertionError(reference)

    monkeypatch.setattr(cooperation_retrieve, "QUERIES", 4)
    result = measure(name, Setting("edge", "host", 12, 0, None, lambda line: None, load, bare=True))
    assert "exact" in markdown(part(name).sheets(result)) or name == "retrieval"
    with pytest.raises(UsageError, match="needs models"):
        measure("people", Setting("edge", "host", 2, 0, None, lambda line: None, load, bare=True))


def test_queries_are_linked_in_the_schemas_words_and_in_others() -> None:
    setting = Setting("edge", "host", 2, 0, None, lambda line: None, LocalModel.load, bare=True)
    found = {name: share(r["right"]) for name, r in _queries(world(0, 40), None, setting).items()}
    least = {"names as asked": 1.0, "other names": 0.9, "a second schema": 0.8}
    for schema, wanted in (least | {"a second schema, other names": 0.5}).items():
        assert found[f"linking alone, {schema}"] >= wanted, found


def test_shares_have_intervals_and_parts_have_names() -> None:
    assert interval([True, True, False, False]) == "50% (15%–85%)"
    assert interval([]) == "–"
    with pytest.raises(UsageError, match="no part 'people2'"):
        part("people2")
