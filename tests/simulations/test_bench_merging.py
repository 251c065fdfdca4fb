import json
import sys

import pytest

from renga.errors import RengaError, UsageError
from renga.models.weights import SharedWeights
from renga.simulations import bench_merging_checkpoints as bench
from renga.simulations import bench_merging_models as models
from renga.simulations.bench_merging_adapter_sheets import cost_sheets, worth_sheets
from renga.simulations.bench_merging_growth import drawing, order
from renga.simulations.bench_merging_sheets import checkpoint_sheets, found, neuron_sheet, vocabulary_sheet
from renga.simulations.bench_tables import markdown
from tests.models.tiny_models import chat_tokenizer, llama, save_folder

TINY = {"hidden": 18, "inner": 24, "layers": 2, "words": 60, "keys": 6}


@pytest.fixture
def stand_in(tmp_path):
    """A program in mergekit's place that takes 64 MB, a while, and writes nothing."""
    program = tmp_path / "mergekit-yaml"
    program.write_text(f"#!{sys.executable}\nx = b'1' * (1 << 26)\nsum(range(10**6))\n")
    program.chmod(0o755)
    return program


def test_cases_are_measured_and_kept(tmp_path, stand_in, monkeypatch):
    told: list[str] = []
    monkeypatch.setenv("PYTHONPATH", "")
    result = bench.measure(
        str(stand_in),
        tmp_path / "work",
        methods=["linear", "slerp"],
        inputs=[2, 3],
        shape=TINY,
        tell=told.append,
    )
    assert [(case["method"], case["inputs"]) for case in result["cases"]] == [
        ("linear", 2), ("linear", 3), ("slerp", 2),
    ]  # fmt: skip
    case = result["cases"][0]
    assert case["mergekit"]["private_mb"] > 60
    assert 0 < case["ours"]["cpu_seconds"] < 60
    assert set(result["copying"]) == {"2"}
    assert "linear of 2: mergekit" in told
    told.clear()
    again = bench.measure(
        str(stand_in), tmp_path / "work", methods=["linear"], inputs=[2], shape=TINY, tell=told.append
    )
    assert again["cases"] == [case]
    assert told == []
    assert "| linear | 2 |" in markdown(checkpoint_sheets(result))


def test_programs_that_are_missing_or_fail_are_told(tmp_path, stand_in):
    with pytest.raises(UsageError, match="no program 'mergekit-nowhere'"):
        bench.measure("mergekit-nowhere", tmp_path)
    stand_in.write_text(f"#!{sys.executable}\nraise SystemExit('it is broken')\n")
    with pytest.raises(RengaError, match="mergekit-yaml failed: it is broken"):
        bench.measure(str(stand_in), tmp_path / "work", methods=["linear"], inputs=[2], shape=TINY)


def test_targets_are_held_against_the_worst_case():
    def case(method, count, ours, theirs):
        fast = {"cpu_seconds": ours, "wall_seconds": 1.0, "private_mb": 20.0}
        slow = {"cpu_seconds": theirs, "wall_seconds": 9.0, "private_mb": 100.0}
        return {
            "method": method, "inputs": count, "ours": fast, "ours_again": fast, "ours_all_cores": fast,
            "mergekit": slow, "mergekit_all_cores": slow,
        }  # fmt: skip

    cases = [case("linear", 2, 1.0, 4.0), case("linear", 4, 2.0, 5.0), case("ties", 2, 1.0, 7.0)]
    rows = {target: met for target, met, _ in found(cases, {"2": {"cpu_seconds": 0.5}})}
    assert rows == {
        "linear: 3× less CPU time": False,
        "ties: 6× less CPU time": True,
        "private memory at most 0.25 of mergekit's": True,
        "linear within 2.5× of copying": True,
        "linear within 2.5× of copying, fingerprints known": True,
    }


def test_tables_of_shapes():
    scores = {"own rows": {"explained": 1.0, "bits_per_byte": 1.5}}
    counts = {"shared": 10, "held_out": 2, "share_of_tokens_in_texts": 0.1, "texts": 3}
    sheet = vocabulary_sheet({"receiver": "a", "donor": "b", **counts, "scores": scores})
    assert sheet.rows == (("own rows", "1.000", "1.500"),)
    pair = {"with": "x", "likeness": 0.5, "alone": 1, "carried": 2, "matched": 3, "unmatched": None}
    assert neuron_sheet({"first": 1.0, "pairs": [pair]}).rows[0][-1] == "–"


def test_what_merges_are_worth_is_measured_and_kept(tmp_path):
    """On a tiny model and two domains: every kind of row, a table of them, and nothing is scored twice."""
    for domain, answer in (("sums", str), ("words", lambda n: "ab" * n)):
        (tmp_path / "data" / domain).mkdir(parents=True)
        for part in ("train", "validation"):
            lines = [
                {"prompt": f"{n} in {domain}?", "response": answer(n), "choices": [answer(n), "x"]}
                if domain == "sums"
                else {"prompt": f"{n}?", "response": answer(n)}
                for n in range(1, 5)
            ]
            (tmp_path / "data" / domain / f"{part}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    weights = SharedWeights.load(str(save_folder(tmp_path / "model", llama(), chat_tokenizer())))
    budget = models.Budget(rank=2, tokens=60, texts=2, choosing=1)
    told: list[str] = []
    only = ["average", "sum of the updates", "greedy soup", "fisher", "adamerging"]
    result = models.run(weights, tmp_path / "data", tmp_path / "out", budget, told.append, only)
    rows = {row["name"]: row for row in result["rows"]}
    assert list(rows) == ["untouched", "alone: sums", "alone: words", "joint", *only]
    assert rows["average"]["against_average"] == [0, 0]
    assert rows["fisher"]["domains"]["words"]["accuracy"] is None
    assert rows["joint"]["domains"]["words"]["accuracy"] is not None
    told.clear()
    assert models.run(weights, tmp_path / "data", tmp_path / "out", budget, told.append, only) == result
    assert told == []
    assert "| fisher |" in markdown(worth_sheets(result))


def test_the_order_of_growth_is_fitted_and_drawn():
    grown = [{"adapters": n, "rank": 16, "seconds": 0.01 * n, "memory": n**2} for n in (4, 8, 16, 32)]
    grown += [{"adapters": 8, "rank": r, "seconds": 1e-4 * r**3, "memory": 0} for r in (32, 64)]
    assert order(grown, "adapters", "seconds") == pytest.approx(1)
    assert order(grown, "adapters", "memory") == pytest.approx(2)
    assert order(grown, "rank", "memory") is None
    chart = drawing(grown, "adapters")
    assert chart.startswith('<svg xmlns="http://www.w3.org/2000/svg"') and chart.count("<circle") == 8
    result = {"cases": [], "growth": grown, "threads": 1}
    assert "time as adapters^1.0" in markdown(cost_sheets(result))
