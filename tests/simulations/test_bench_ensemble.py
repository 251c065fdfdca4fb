"""`renga bench ensemble`: whole on models of nothing, its tables, and its measures of speed."""

import json
import math
from typing import Any

import pytest

from renga.errors import UsageError
from renga.models.ensemble.fuse import fuse
from renga.models.example import Example
from renga.simulations import bench_ensemble_reward
from renga.simulations.bench_ensemble import bench
from renga.simulations.bench_ensemble_reward import drawing
from renga.simulations.bench_ensemble_sheets import ensemble_sheets
from renga.simulations.bench_ensemble_speed import acceptance, speed, union_milliseconds
from renga.simulations.bench_tables import markdown
from tests.models.tiny_models import chat_tokenizer, gemma3, llama, save_folder
from tests.models.tiny_tokenizers import metaspace, worded
from tests.models.toy import Toy

ANSWERS = {"intent": ["i", "j", "k"], "ordering": ["a", "b"], "factcheck": ["y", "n"]}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Four domains, and two models of different families, of nothing."""
    folder = tmp_path_factory.mktemp("ensemble")
    for domain in (*ANSWERS, "phonetics"):
        (folder / domain).mkdir()
        for part, count in (("train", 4), ("public", 2), ("validation", 4)):
            lines = []
            for number in range(count):
                choices = ANSWERS.get(domain, [])
                prompt = f"{domain[:3]} {part[:1]}{number}?"
                line: dict[str, Any] = {"domain": domain, "prompt": prompt, "response": "ðə"}
                if choices:
                    line |= {"choices": choices, "response": choices[number % len(choices)]}
                lines.append(json.dumps(line))
            (folder / domain / f"{part}.jsonl").write_text("\n".join(lines))
    edge = save_folder(folder / "edge", llama(), chat_tokenizer())
    tokenizer = metaspace(100)
    small = gemma3(vocab_size=len(tokenizer.get_vocab()), num_hidden_layers=2)
    host = save_folder(folder / "host", small, tokenizer)
    return folder, (str(edge), str(host))


def written(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_whole_benchmark_goes_on_from_where_it_was(world, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # as loading a model does
    data, models = world
    monkeypatch.setattr(bench_ensemble_reward, "CANDIDATES", 6)
    how = {"texts": 2, "seed": 1, "models": models, "budget": 64}
    lines: list[str] = []
    first = bench(data, tmp_path, part="quality", tell=lines.append, **how)
    assert sum(line.startswith("training") for line in lines) == 4
    kept = written(tmp_path / "rows")
    lines.clear()
    whole = bench(data, tmp_path, part="reward", tell=lines.append, **how)
    assert not any(line.startswith("training") for line in lines)
    assert kept.items() <= written(tmp_path / "rows").items()  # nothing is asked twice
    assert {"rows", "routing", "reward"} <= whole.keys()  # what was measured before stands beside it
    assert whole["rows"] == first["rows"]
    rows = whole["rows"]
    assert rows["intent"]["bytes"] == 0 and rows["host"]["bytes"] > 0
    assert rows["host"]["host_calls"] == 1.0 and rows["fuse(experts)"]["host_calls"] == 0.0
    assert rows["oracle member"]["accuracy"] >= max(rows[name]["accuracy"] for name in whole["members"])
    page = markdown(ensemble_sheets(whole))
    assert "Targets" in page and "peak − end" in page
    assert drawing(whole["reward"]).startswith("<svg xmlns")
    with pytest.raises(UsageError, match="fewer than 2 x 3"):
        bench(data, tmp_path, part="quality", tell=lines.append, **{**how, "texts": 3})


def test_acceptance_is_that_of_the_formula_and_the_text_the_targets_alone():
    one = Toy(seed=1)
    other = fuse(one, Toy(seed=2))
    found = acceptance(one, other, ["a", "b"], 8, (0.25, 0.75))
    for row in found:
        assert math.isclose(row["formula"], row["rejection"], abs_tol=1e-6)
        assert row["equal_texts"] == 1.0
        assert 0 < row["passes_per_token"] <= 1
        assert row["shared"] <= 1
    assert "λ of the other" in markdown(ensemble_sheets({"acceptance": {"one and other": found}}))


def test_speed_is_a_ratio_in_one_run():
    two = Toy(seed=1), Toy(worded("th"), seed=2)
    text = Example("a", "the other")
    found = speed(two, {"threads": two, "processes": two}, [text], 9, lambda line: None)
    assert found["align"] == "union" and min(*found["ratios"].values(), found["beside"]) > 0
    union = union_milliseconds(*two, text, 3)
    assert min(union.values()) > 0
    page = markdown(ensemble_sheets({"speed": {"pairs": {"toys": found}, "union": union}}))
    assert "fused decode ≤ 1.15" in page and "beside to alone" in page
