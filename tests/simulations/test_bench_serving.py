"""The benchmark of serving decodes the same everywhere, and counts what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from renga.simulations.bench_edge import _closure, _on_disk
from renga.simulations.bench_link_sheets import edge_sheets, serving_sheets
from renga.simulations.bench_serving import OF, measure, serve, targets
from tests.models.tiny_models import chat_tokenizer, llama, save_folder
from tests.models.tiny_weights import some_ids, tiny


def test_both_ways_say_the_same() -> None:
    weights = tiny("llama")
    served = serve(weights, [some_ids(weights, 5 + n, seed=n) for n in range(4)], tokens=6)
    assert served.sessions == 4 and served.differing == 0
    assert served.first_token > 0 and served.fairness >= 1 and served.ratio > 0


@pytest.mark.slow
def test_clients_over_the_link_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # a located model sets it
    model = save_folder(tmp_path / "model", llama(), chat_tokenizer())
    found = measure(str(model), sessions=(3, 1), tokens=3, answer=3, repeats=1, tell=lambda line: None)
    json.dumps(found)
    assert [one["clients"] for one in found["linked"]] == [1, 3]
    assert all(one["rate"] > 0 and one["fairness"] >= 1 for one in found["linked"])
    assert targets(found)[0][1] is None  # 16 sessions were not asked for
    assert len(serving_sheets(found)) == 4
    found["together"].append({**found["together"][0], "sessions": OF, "ratio": 2.9})
    assert targets(found)[0][1] is False


def test_an_install_is_what_its_packages_need() -> None:
    plain, served = set(_closure("renga", set())), set(_closure("renga", {"server"}))
    assert {"torch", "flwr", "grpcio", "transformers"} <= plain
    assert "grpcio-reflection" in served - plain  # Flower itself brings health checking
    assert _on_disk("numpy") > 1_000_000 and _on_disk("no-such-package") == 0
    sizes = {"imported": 1, "loaded": 2, "idle": 3}
    found = {
        "model": "m", "bytes": sizes, "spread": {kind: [n, n] for kind, n in sizes.items()},
        "client_bytes": 31_000_000, "disk": {"a": 5}, "server_only": {"b": 1},
    }  # fmt: skip
    sheets = edge_sheets(found)
    assert "missed" in str(sheets[0].rows)
