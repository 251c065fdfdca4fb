"""The learning benchmark: its sums on made-up runs, and the whole of it on a tiny model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from renga.errors import UsageError
from renga.simulations.bench_learning import bench, configs_of
from renga.simulations.bench_learning_sheets import _domains_sheet, sheets
from renga.simulations.bench_learning_summary import _closed, closed, summarise
from renga.simulations.bench_tables import markdown
from renga.simulations.metrics import Metrics, metrics_of
from tests.models.tiny_models import chat_tokenizer, llama, save_folder
from tests.tiny_federation import texts, write_texts

DOMAINS = ("ada", "bo")
BUDGET = """\
rounds = 1
threads = 1

[host]
model = "{model}"
rank = 4
tokens = 400

[edge]
model = "{model}"
rank = 2
tokens = 300
transfer_tokens = 150

[evaluate]
accuracy = false
"""


def score(who: str, stage: str, values: dict[str, float]) -> dict[str, Any]:
    scores = {d: {"bits_per_byte": v, "accuracy": 1 - v / 4, "texts": 5} for d, v in values.items()}
    return {"kind": "score", "round": 1, "who": who, "stage": stage, "scores": scores}


def made_up(seed: int, federated: dict[str, float], host: float = 1.5) -> Metrics:
    """A run of two clients: alone 1.0 on one's own domain and 3.0 on the other's, plus the seed's luck."""
    luck = 0.1 * seed
    records: list[dict[str, Any]] = [
        {"kind": "run", "seed": seed, "clients": [{"name": d, "domain": d} for d in DOMAINS]},
        {"kind": "round", "round": 1, "seconds": 11.0, "torch_seconds": 10.0}
        | {"clients": {d: {"bytes_up": {"adapter": 900, "rows": 100}} for d in DOMAINS}},
        {"kind": "end", "seconds": 60.0, "peak_memory_bytes": 5},
    ]
    for who in DOMAINS:
        records.append(score(who, "before", dict.fromkeys(DOMAINS, 3.5 + luck)))
        records.append(score(who, "alone", {d: (1.0 if d == who else 3.0) + luck for d in DOMAINS}))
        records.append(
            score(who, "federated", {d: federated["own" if d == who else "others"] + luck for d in DOMAINS})
        )
    for stage, value in {"before": 3.0, "public": 2.0, "federated": host, "centralised": 1.0}.items():
        records.append(score("host", stage, dict.fromkeys(DOMAINS, value + luck)))
    return metrics_of(records)


def met(result: dict[str, Any]) -> list[bool | None]:
    return [target["met"] for target in result["targets"]]


def test_what_is_better_is_said_to_be() -> None:
    result = summarise([made_up(seed, {"own": 1.0, "others": 2.0}, host=1.4) for seed in range(3)])
    assert met(result) == [True] * 6
    result |= {"models": {"edge": "e", "host": "h"}, "seeds": [1, 2, 3]}
    rows = _domains_sheet(result, "3 seeds").rows
    assert [row[:2] for row in rows] == [(d, m) for m in ("bits per byte", "accuracy") for d in DOMAINS]
    assert rows[0][2:] == ("3.100", "2.100", "1.500", "1.100", "60%")
    ada = result["clients"]["ada"]
    assert ada["own"]["alone"]["bits_per_byte"]["mean"] == pytest.approx(1.1)
    assert ada["others"]["difference"]["bits_per_byte"]["mean"] == pytest.approx(-1.0)
    assert ada["others"]["difference"]["bits_per_byte"]["high"] == pytest.approx(-1.0)
    assert result["host"]["closed"]["bits_per_byte"]["mean"] == pytest.approx(0.6)
    assert result["host"]["difference"]["bits_per_byte"]["mean"] == pytest.approx(-0.6)
    assert result["cost"]["overhead"]["mean"] == pytest.approx(1.1)
    assert result["cost"]["bytes_per_client_and_round"]["up"]["mean"] == 1000
    assert result["cost"]["bytes_by_kind"]["up"]["rows"]["mean"] == 100
    assert result["domains"]["host"]["public"]["bo"]["bits_per_byte"] == pytest.approx(2.1)


def test_what_is_worse_is_said_to_be() -> None:
    result = summarise([made_up(seed, {"own": 1.2, "others": 3.1}, host=1.8) for seed in range(3)])
    assert met(result) == [False] * 6
    assert "worse: ada, bo" in result["targets"][1]["said"]
    assert "not better: ada, bo" in result["targets"][2]["said"]


def test_a_difference_within_the_interval_is_no_loss() -> None:
    runs = [made_up(seed, {"own": own, "others": 2.0}) for seed, own in enumerate((0.8, 1.0, 1.3))]
    result = summarise(runs)
    assert result["clients"]["ada"]["own"]["difference"]["bits_per_byte"]["mean"] > 0
    assert met(result)[1] is True


def test_a_way_that_is_none_is_not_divided_by() -> None:
    assert closed([2.0, 2.0, None], [1.5, 1.5, 1.5], [1.0, 1.99, 1.0], "bits_per_byte") == [0.5, None, None]
    assert closed([0.5], [0.6], [0.7], "accuracy") == [pytest.approx(0.5)]


def write_domains(folder: Path) -> Path:
    for domain in DOMAINS:
        (folder / domain).mkdir(parents=True)
        for name, count in (("train", 12), ("public", 5), ("validation", 4)):
            write_texts(folder / domain / f"{name}.jsonl", texts(f"{domain} {name}", count))
    return folder


def test_a_whole_benchmark_stopped_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_folder(tmp_path / "model", llama(), chat_tokenizer())
    data, budget = write_domains(tmp_path / "data"), tmp_path / "budget.toml"
    budget.write_text(BUDGET.format(model=model))
    told: list[str] = []
    again: Callable[[int], dict[str, Any]] = lambda seeds: bench(  # noqa: E731
        data, tmp_path / "out", seeds=seeds, file=budget, tell=told.append
    )
    assert len(again(1)["seeds"]) == 1
    result = again(2)
    assert any("seed 7: read from" in line for line in told)  # the first run is not run twice
    assert capsys.readouterr().out == ""
    first, second = (tmp_path / "out" / f"seed-{seed}" / "measured" for seed in (7, 8))
    untouched = sorted(path.name for path in first.glob("score-0000-*"))
    assert len(untouched) == 3  # what no seed changes is measured once, in the first run
    assert [(second / name).read_bytes() for name in untouched] == [
        (first / name).read_bytes() for name in untouched
    ]
    json.dumps(result)
    assert result["seeds"] == [7, 8]
    for stage in ("before", "public", "federated", "centralised"):
        assert len(result["host"][stage]["bits_per_byte"]["values"]) == 2
    assert result["clients"]["ada"]["others"]["difference"]["bits_per_byte"]["low"] is not None
    assert result["clients"]["ada"]["own"]["alone"]["accuracy"] is None
    assert str(tmp_path) not in json.dumps(result["clients"])
    page = markdown(sheets(result))
    assert "federated − alone" in page and "Targets" in page
    budget.write_text(BUDGET.format(model=model).replace("tokens = 300", "tokens = 301"))
    with pytest.raises(UsageError, match="another config"):
        again(2)


class TestWhatCantBeUsed:
    def refused(self, data: Path, file: Path | None = None) -> str:
        with pytest.raises(UsageError) as caught:
            configs_of(data, 1, file)
        assert "\n" not in caught.value.message + caught.value.hint
        return f"{caught.value.message} ({caught.value.hint})"

    def test_data(self, tmp_path: Path) -> None:
        assert "no such folder" in self.refused(tmp_path / "none")
        (tmp_path / "empty").mkdir()
        assert "holds 0 domains" in self.refused(tmp_path / "empty")
        data = write_domains(tmp_path / "data")
        (data / "bo" / "public.jsonl").unlink()
        assert "bo has no public.jsonl" in self.refused(data)

    def test_config(self, tmp_path: Path) -> None:
        data, file = write_domains(tmp_path / "data"), tmp_path / "x.toml"
        assert "no config at" in self.refused(data, file)
        for text, said in {
            "name = 'x'": "name is set by the benchmark itself",
            "[transfer]\ndata = []": "transfer.data is set by the benchmark itself",
            "[host]\nrnak = 3": "x.toml:2: unknown key 'host.rnak' (did you mean 'rank'?)",
            "[clients.cy]\nrank = 3": "no domain 'cy'",
            "[clients.bo]\nrnak = 3": "unknown key 'clients[1].rnak'",
            "transfer = 3": "must be a table",
        }.items():
            file.write_text(text)
            assert said in self.refused(data, file), text

    def test_one_client_may_differ(self, tmp_path: Path) -> None:
        data, file = write_domains(tmp_path / "data"), tmp_path / "x.toml"
        file.write_text("[edge]\nrank = 5\n[clients.bo]\nrank = 3\n[baselines]\ncentralised = false")
        (config,) = configs_of(data, 1, file)
        assert [client.edge.rank for client in config.clients] == [5, 3]
        assert config.baselines.public and not config.baselines.centralised
        assert [path.parent.name for path in config.transfer.data] == ["ada", "bo"]


def test_a_run_without_a_way_to_go_leaves_the_share_of_the_means() -> None:
    found = _closed([2.0, 1.0], [1.5, 1.0], [1.0, 1.0], "bits_per_byte")
    assert found is not None and found.mean == pytest.approx(0.5) and found.low is None
    assert _closed([1.0, 1.0], [1.0, 1.0], [1.0, 1.0], "bits_per_byte") is None
    assert _closed([2.0, None], [1.5, 1.0], [1.0, 1.0], "bits_per_byte") is None
