"""Intervals hold what they promise, and blocks of a page are replaced and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from renga.errors import UsageError
from renga.simulations.bench_statistics import differences, estimate, student_t
from renga.simulations.bench_tables import Sheet, markdown, shown, write_block
from renga.simulations.units import bits


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.7062), (2, 4.3027), (4, 2.7764), (9, 2.2622), (30, 2.0423)]
)
def test_students_t_as_in_the_tables(freedom: int, quantile: float) -> None:
    assert student_t(freedom) == pytest.approx(quantile, abs=1e-4)


def test_an_interval_holds_the_mean_95_times_of_100() -> None:
    chance, held = random.Random(0), 0
    for _ in range(4000):
        found = estimate([chance.gauss(3.0, 0.5) for _ in range(3)])
        assert found is not None and found.low is not None and found.high is not None
        held += found.low <= 3.0 <= found.high
    assert held / 4000 == pytest.approx(0.95, abs=0.012)


def test_one_run_has_no_interval_and_a_missing_one_no_estimate() -> None:
    alone = estimate([2.0])
    assert alone is not None and (alone.mean, alone.low, alone.high) == (2.0, None, None)
    assert shown(alone, bits) == "2.000"
    assert estimate([2.0, None]) is None
    assert estimate([]) is None


def test_pairing_takes_out_what_seeds_share() -> None:
    luck = [0.3, -0.2, 0.5]
    found = estimate(differences([1.0 + x for x in luck], [1.1 + x for x in luck]))
    assert found is not None and found.high is not None
    assert found.mean == pytest.approx(-0.1)
    assert found.high - found.mean < 1e-12
    assert shown(found, bits, signed=True) == "−0.100 ± 0.000"


def test_a_block_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench x: begin -->\nold\n<!-- bench x: end -->\nafter\n")
    sheet = Sheet("Title", ("name", "value"), (("a | b", "1"),), note="A note.")
    for _ in range(2):
        write_block(page, "x", markdown([sheet]))
    text = page.read_text()
    assert text.startswith("before\n<!-- bench x: begin -->\n**Title**\n\n| name | value |\n| --- | --: |\n")
    assert text.endswith("| a \\| b | 1 |\n\nA note.\n<!-- bench x: end -->\nafter\n")
    with pytest.raises(UsageError, match="no block"):
        write_block(page, "y", "text")
    with pytest.raises(UsageError, match="no such file"):
        write_block(tmp_path / "none.md", "x", "text")
