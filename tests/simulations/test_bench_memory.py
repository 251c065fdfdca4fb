"""The memory benchmark runs federations in processes of their own, and what it says of them adds up."""

from __future__ import annotations

import pytest

from renga.errors import RengaError
from renga.simulations.bench_memory import _child, measure, per_client, targets
from renga.simulations.bench_sheets import memory_sheets
from renga.simulations.bench_tables import markdown


def result(*peaks: tuple[int, int], overhead: float | None = None) -> dict[str, object]:
    runs = [
        {"clients": n, "peak_bytes": peak, "imported_bytes": 10, "seconds": 1.0}
        | {"data_bytes_per_client": 5_000.0, "adapter_bytes": 70_000}
        for n, peak in peaks
    ]
    found = {"overhead": overhead, "model": "a", "host": "b", "clients": 2, "seconds": 3.0}
    return {"runs": runs, "per_client": per_client(runs), "overhead": found if overhead else None}


def test_growth_is_judged() -> None:
    flat, steep = result((4, 10**8), (100, 10**8 + 96 * 10**5)), result((4, 10**8), (100, 10**9))
    assert [met for _, met, _ in targets(flat)] == [True]
    assert [met for _, met, _ in targets(steep)] == [False]
    assert targets(result((4, 10**8))) == []


def test_overhead_is_judged() -> None:
    assert [met for _, met, _ in targets(result((4, 10**8), overhead=1.1))] == [True]
    assert [met for _, met, _ in targets(result((4, 10**8), overhead=1.2))] == [False]
    assert "Overhead" in markdown(memory_sheets(result((4, 10**8), overhead=1.2)))


@pytest.mark.slow
def test_real_processes() -> None:
    found = measure([2, 3])
    assert [run["clients"] for run in found["runs"]] == [2, 3]
    for run in found["runs"]:
        assert run["imported_bytes"] < run["peak_bytes"] < 2e9
        assert run["adapter_bytes"] > 0 and run["overhead"] >= 1
    assert "One more client takes" in markdown(memory_sheets(found))


def test_a_process_that_fails_is_told_in_one_line() -> None:
    with pytest.raises(RengaError, match="measured run failed") as caught:
        _child("run", "none.toml", "out")
    assert "\n" not in caught.value.message
