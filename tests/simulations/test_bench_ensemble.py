"""The tables of `renga bench ensemble`, and its measures of speed, on models of nothing."""

import math

from renga.models.ensemble.fuse import fuse
from renga.simulations.bench_ensemble_sheets import ensemble_sheets
from renga.simulations.bench_ensemble_speed import acceptance, speed, union_milliseconds
from renga.simulations.bench_tables import markdown
from tests.models.tiny_tokenizers import worded
from tests.models.toy import Toy


def test_acceptance_is_that_of_the_formula_and_the_text_the_targets_alone():
    one = Toy(seed=1)
    other = fuse(one, Toy(seed=2))
    for row in acceptance(one, other, ["a", "b"], 8, (0.25, 0.75)):
        assert math.isclose(row["formula"], row["rejection"], abs_tol=1e-6)
        assert row["equal_texts"] == 1.0
        assert 0 < row["passes_per_token"] <= 1
        assert row["shared"] <= 1


def test_speed_is_a_ratio_in_one_run():
    found = speed(Toy(seed=1), Toy(worded("th"), seed=2), ["a"], 4, lambda line: None)
    assert found["align"] == "union" and found["ratio"] > 0
    assert union_milliseconds(Toy(seed=1), Toy(worded("th")), steps=3) > 0


def test_tables():
    row = {
        "accuracy": 0.5, "against_best": (-0.1, 0.2), "against_host": (0.0, 0.3), "passes": 1200, "tokens": 3,
        "bits_per_byte": 0.5,
    }  # fmt: skip
    way = {
        "apgr": float("nan"), "cpt": {"50": 0.1, "80": 0.2, "95": float("nan")}, "aiq": 0.5,
        "calls_for_95_percent_of_best": None, "best_quality": 0.6,
    }  # fmt: skip
    names = ("router", "length of the prompt", "random", "oracle")
    result = {
        "texts": 4, "answered": 3, "best_member": "intent",
        "rows": {"intent": row, "oracle member": row, "select": {**row, "bits_per_byte": None}},
        "routing": {
            "experts": 0.5, "host": 0.5, "both": 0.6, "zero router": {"aiq": 0.5},
            **dict.fromkeys(names, way),
        },
        "bytes": {"texts": 2, "bytes": 0.1, "string": 0.2, "union": 0.3},
        "reward": {"texts": 2, "candidates": 7, "heads": 5, "sizes": [1, 2], "gold": {"mean": [0.1, 0.2]}},
    }  # fmt: skip
    page = markdown(ensemble_sheets(result))
    assert "-10 … +20" in page and "nan" not in page
