"""A run that never happened, written the way a real one is."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CLIENTS = ("clinic", "foundry", "harbour")
BEFORE = {"clinic": 1.934, "foundry": 2.112, "harbour": 2.027}
CONFIG = """# three clients, one host
name = "quickstart"
rounds = 2
seed = 17

[host]
model = "gemma-3-270m"
rank = 16

[[clients]]
name = "clinic"
data = "data/clinic.jsonl"  # <never leaves>
"""


def synthetic_run(rounds: int = 2, clients: tuple[str, ...] = CLIENTS, seed: int = 0) -> list[dict[str, Any]]:
    """Records of a run that looks like a real one: every kind, a late client, a merge that is not adopted."""
    chance = random.Random(seed)
    listed = [
        {
            "name": c,
            "model": "SmolLM2-135M-Instruct",
            "rank": 8,
            "alpha": 16,
            "texts": 180 + 20 * i,
            "domain": c,
        }
        for i, c in enumerate(clients)
    ]
    host = {"model": "gemma-3-270m", "rank": 16}
    run = {"kind": "run", "name": "quickstart", "seed": 17, "rounds": rounds, "clients": listed, "host": host}
    records: list[dict[str, Any]] = [run | {"cohorts": {"a3f19c02": list(clients)}}]

    def score(turn: int, who: str, stage: str, own: float, others: float) -> None:
        scores = {}
        for domain in clients:
            gain = own if domain == who else others
            loss = round(BEFORE.get(domain, 2.0) * (1 - gain) + chance.uniform(-0.02, 0.02), 4)
            right = round(min(1.0, 0.18 + 1.4 * max(0.0, gain) + chance.uniform(-0.02, 0.02)), 4)
            scores[domain] = {"bits_per_byte": loss, "accuracy": right, "texts": 40}
        records.append({"kind": "score", "round": turn, "who": who, "stage": stage, "scores": scores})

    for who in (*clients, "host"):
        score(0, who, "before", 0.05 * (who == "host"), 0.05 * (who == "host"))
    for i, who in enumerate(clients):
        score(0, who, "alone", 0.36 + 0.02 * i, 0.01 - 0.03 * i)
    score(0, "host", "public", 0.15, 0.15)
    score(0, "host", "centralised", 0.4, 0.4)

    def curve(turn: int, start: float, steps: int = 30) -> list[float]:
        times = ((turn - 1) * steps + i for i in range(steps))
        return [round(0.8 + start * math.exp(-t / 25) + chance.uniform(-0.15, 0.15), 4) for t in times]

    for turn in range(1, rounds + 1):
        done: dict[str, Any] = {}
        for i, who in enumerate(clients):
            if who == "harbour" and turn == 2:
                done[who] = {"status": "late", "reason": "no reply within 90 s", "bytes_up": {"losses": 310}}
                continue
            others = [c for c in (*clients, "host") if c != who]
            done[who] = {
                "status": "ok",
                "reason": "",
                "bytes_up": {"adapter": 940_000 + 900 * i, "losses": 310, "rows": 61_000 * i, "answers": 900},
                "bytes_down": {"adapter": 940_000, "rows": 74_000 + 9_000 * i, "texts": 18_000},
                "private_loss": curve(turn, 2.1 + 0.3 * i),
                "transfer_loss": curve(turn, 1.1 + 0.2 * i, 12),
                "tokens": 20_480,
                "seconds": 41.2 + i,
                "kept": ("own", "merged", "mixed")[i % 3],
                "taught": 14 + i,
                "learned": {other: chance.randint(2, 24) for other in others},
            }
        adopted = turn != 2
        merge = {
            "clients": [c for c in clients if done[c]["status"] == "ok"],
            "weights": [0.4, 0.35, 0.25] if turn != 2 else [0.55, 0.45],
            "rank": 8,
            "error": 0.031 * turn,
            "adopted": adopted,
            "before": 1.71,
            "after": 1.64 if adopted else 1.75,
            "reason": "" if adopted else "validation got worse for foundry & clinic",
        }
        taught = {
            "loss": curve(turn, 1.5, 24),
            "texts": 46,
            "teachers": {c: 12 + 5 * i for i, c in enumerate(clients)},
            "adopted": True,
            "before": 1.82 - 0.1 * turn,
            "after": 1.72 - 0.1 * turn,
            "reason": "",
            "mapped_mass": 0.93,
            "masked_share": 0.11,
        }
        answers = {"asked": 20, "settled": 13, "unsettled": 7, "by": {clients[0]: 8, clients[-1]: 5}}
        records.append(
            {"kind": "round", "round": turn, "seconds": 188.4, "torch_seconds": 171.9, "clients": done}
            | {"merges": {"a3f19c02": merge}, "host": taught, "answers": answers}
        )
        for i, who in enumerate(clients):
            score(turn, who, "federated", 0.36 + 0.02 * i - 0.05 * (who == "foundry"), 0.06 + 0.05 * turn)
        score(turn, "host", "federated", 0.15 + 0.08 * turn, 0.13 + 0.08 * turn)
    end = {"kind": "end", "seconds": 401.0, "torch_seconds": 361.5, "peak_memory_bytes": 3_210_000_000}
    return [*records, end | {"bytes_up": 4_900_000, "bytes_down": 5_300_000}]


def write_run(folder: Path, records: list[dict[str, Any]]) -> Path:
    """A run's folder with these records and a config."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    (folder / "config.toml").write_text(CONFIG, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def synthetic() -> Callable[..., list[dict[str, Any]]]:
    """Makes the records of a run: synthetic(rounds, clients, seed)."""
    return synthetic_run


@pytest.fixture
def records() -> list[dict[str, Any]]:
    """The records of a whole synthetic run."""
    return synthetic_run()


@pytest.fixture
def run_folder(tmp_path: Path, records: list[dict[str, Any]]) -> Path:
    """A folder as a finished run leaves it."""
    return write_run(tmp_path / "quickstart", records)
