"""What the benchmark of the link says, on a link with hardly anything on it."""

import json

from renga.simulations.bench_link import measure, targets


def test_idle_streams_rounds_and_payloads_are_measured() -> None:
    found = measure(streams=3, rounds=2, seconds=0.2, payload=600_000, tell=lambda line: None)
    json.dumps(found)
    assert found["idle"]["held"] == 3
    assert found["round_seconds"]["rounds"] == found["crowded_round_seconds"]["rounds"] == 2
    few, many = found["large"]
    assert many["clients"] > few["clients"] and few["seconds"] > 0 and many["peak"] >= few["peak"] > 600_000
    assert targets(found)[0][1]
