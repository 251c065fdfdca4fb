"""What the benchmark of carriers says, of the two that need no process of Flower's."""

import json
from pathlib import Path

from renga.protocol.flower_internals import acting_as_server
from renga.simulations.bench_carriers import costs
from renga.simulations.bench_link_sheets import carrier_sheets


def test_rounds_memory_and_payloads_of_a_carrier(tmp_path: Path) -> None:
    with acting_as_server(1):
        found = costs("link", 2, [1], 1, tmp_path)
    result = {"found": [found]}
    json.dumps(result)
    assert found["round_seconds"] > 0 and found["round_processor_seconds"] > 0
    (payload,) = found["payloads"]
    assert 4_000_000 < payload["bytes"] < 4_100_000  # to and from two clients
    for sheet in carrier_sheets(result):
        assert sheet.rows[0][:2] == ("link", "2") and len(sheet.rows[0]) == len(sheet.heads)


def test_a_carrier_that_fails_has_a_row_that_says_so() -> None:
    result = {"found": [{"carrier": "ray", "clients": 2, "failed": "Ray is not installed"}]}
    sheet, _ = carrier_sheets(result)
    assert "Ray is not installed" in sheet.rows[0]
