"""The sentences under the numbers must follow the numbers."""

from __future__ import annotations

from typing import Any

import pytest

from renga.simulations.metrics import HOST, Metrics, metrics_of
from renga.simulations.verdict import clients_verdict, host_verdict, summary


def run(alone: tuple[float, float], federated: tuple[float, float]) -> Metrics:
    """Two clients with the same (own, others) bits per byte alone and federated."""
    records: list[dict[str, Any]] = [
        {"kind": "run", "rounds": 1, "clients": [{"name": n, "domain": n} for n in "ab"]}
    ]
    for who, other in ("ab", "ba"):
        for stage, turn, (own, others) in (("alone", 0, alone), ("federated", 1, federated)):
            scores = {who: {"bits_per_byte": own}, other: {"bits_per_byte": others}}
            records.append({"kind": "score", "round": turn, "who": who, "stage": stage, "scores": scores})
    return metrics_of(records)


def host(**stages: float) -> Metrics:
    """A host with these bits per byte."""
    return metrics_of(
        {"kind": "score", "round": 0, "who": HOST, "stage": stage, "scores": {"a": {"bits_per_byte": value}}}
        for stage, value in stages.items()
    )


def test_a_gain_is_called_a_gain_and_a_loss_a_loss() -> None:
    better = clients_verdict(run((1.0, 2.0), (1.0, 1.5)))
    assert "25% better than when each learns alone (2.000 → 1.500" in better
    assert "own domain they ended the same as when each learns alone" in better
    assert "worse" not in better
    worse = clients_verdict(run((1.0, 2.0), (1.2, 2.2)))
    assert "10% worse" in worse
    assert "20% worse" in worse
    assert "worse than alone: a (1.000 → 1.200) and b (1.000 → 1.200)" in worse


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ({"before": 2.0, "federated": 1.5, "public": 1.8, "centralised": 1.2}, "closed 50% of that distance"),
        (
            {"before": 2.0, "federated": 1.9, "public": 1.8, "centralised": 1.2},
            "closed none of that distance",
        ),
        ({"before": 2.0, "federated": 1.1, "public": 1.8, "centralised": 1.2}, "closed all of that distance"),
        ({"before": 2.0, "federated": 2.5}, "ended 25% worse"),
        ({"before": 2.0, "federated": 2.001}, "did not change"),
        (
            {"before": 2.0, "federated": 1.5, "public": 1.2, "centralised": 1.2},
            "all text in one place to 1.200.",
        ),
        ({"before": 2.0}, "not been scored"),
    ],
)
def test_the_host_is_placed_between_its_bounds(stages: dict[str, float], said: str) -> None:
    assert said in host_verdict(host(**stages))


def test_the_last_round_counts_and_a_repeated_score_replaces(records: list[dict[str, Any]]) -> None:
    last = next(r for r in reversed(records) if r.get("who") == "clinic" and r.get("stage") == "federated")
    again = last | {"scores": {"clinic": {"bits_per_byte": 0.5}}}
    assert metrics_of([*records, again]).measure("clinic", "federated", "own").bits_per_byte == 0.5
    assert (
        metrics_of([*records, again | {"round": 1}]).measure("clinic", "federated", "own").bits_per_byte
        != 0.5
    )


def test_nothing_at_all_is_told_calmly() -> None:
    assert len(summary(metrics_of([]))) == 3
