"""The tables of `renga bench learning`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from renga.simulations.bench_learning_summary import (
    CLIENT_STAGES,
    HOST_STAGES,
    MEASURES,
    NAMES,
    PARTS,
    SAY,
    WORSE,
    closed,
)
from renga.simulations.bench_statistics import Estimate
from renga.simulations.bench_tables import Sheet, shown, texts, verdict
from renga.simulations.metrics import HOST
from renga.simulations.units import MISSING, duration, percent, size

HOST_STAGES_SAID = ("untouched", "public only", "federated", "centralised")


def sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """The tables of a result, as `bench` gives it."""
    seeds = f"{len(result['seeds'])} seeds" if len(result["seeds"]) > 1 else "one seed, so no intervals"
    return [
        Sheet(
            "Targets",
            ("target", "", "measured"),
            texts((t["target"], verdict(t["met"]), t["said"]) for t in result["targets"]),
            words=frozenset(("", "measured")),
        ),
        *(_clients_sheet(result, measure, seeds) for measure in MEASURES),
        _host_sheet(result, seeds),
        _domains_sheet(result, seeds),
        _cost_sheet(result),
    ]


def _clients_sheet(result: Mapping[str, Any], measure: str, seeds: str) -> Sheet:
    rows = []
    people = [*result["clients"].items(), ("mean of the clients", result["clients_together"])]
    for name, client in people:
        for part in PARTS:
            cells = [_cell(client[part][stage][measure], measure) for stage in CLIENT_STAGES]
            change = _cell(client[part]["difference"][measure], measure, signed=True)
            rows.append((name, "own" if part == "own" else "others'", *cells, change))
    better = "lower" if WORSE[measure] > 0 else "higher"
    return Sheet(
        f"Clients ({result['models']['edge']}), {NAMES[measure]} of held-out text",
        ("client", "domain", "untouched", "alone", "federated", "federated − alone"),
        texts(rows),
        f"{better.capitalize()} is better. Mean ± half of the 95 % interval over {seeds}; differences are "
        "paired by seed.",
        words=frozenset(("domain",)),
    )


def _host_sheet(result: Mapping[str, Any], seeds: str) -> Sheet:
    rows = []
    for measure in MEASURES:
        cells = [_cell(result["host"][stage][measure], measure) for stage in HOST_STAGES]
        change = _cell(result["host"]["difference"][measure], measure, signed=True)
        share = result["host"]["closed"][measure]
        rows.append((NAMES[measure], *cells, change, shown(_estimate(share), percent)))
    return Sheet(
        f"Host ({result['models']['host']}), all domains",
        ("measure", *HOST_STAGES_SAID, "federated − public only", "closed"),
        texts(rows),
        f"Closed: the share of the way from public only to centralised. Mean ± half of the 95 % interval "
        f"over {seeds}.",
    )


def _domains_sheet(result: Mapping[str, Any], seeds: str) -> Sheet:
    """The host's means domain by domain: which of them makes what its mean over all says."""
    stages = result["domains"].get(HOST, {})
    rows = []
    for measure in MEASURES:
        for domain in stages.get(HOST_STAGES[0], {}):
            means = [stages.get(stage, {}).get(domain, {}).get(measure) for stage in HOST_STAGES]
            if any(mean is not None for mean in means):
                [share] = closed([means[1]], [means[2]], [means[3]], measure)
                rows.append((domain, NAMES[measure], *map(SAY[measure], means), percent(share)))
    return Sheet(
        f"Host ({result['models']['host']}), domain by domain",
        ("domain", "measure", *HOST_STAGES_SAID, "closed"),
        texts(rows),
        f"Means over {seeds}; closed: the share of the way between the means, where centralised is better.",
        words=frozenset(("measure",)),
    )


def _cost_sheet(result: Mapping[str, Any]) -> Sheet:
    cost, where = result["cost"], result["conditions"]
    rows = [
        ("time of a run, baselines and scoring included", _mean(cost["seconds"], duration)),
        ("wall time of a round over time inside torch", _mean(cost["overhead"], lambda x: f"{x:.3f}")),
        ("largest memory", size(cost["peak_memory_bytes"]) if cost["peak_memory_bytes"] else MISSING),
    ]
    for direction, told in (("up", "sent"), ("down", "received")):
        parts = cost["bytes_by_kind"][direction].items()
        detail = ", ".join(f"{kind} {_mean(found, size)}" for kind, found in parts)
        total = _mean(cost["bytes_per_client_and_round"][direction], size)
        rows.append((f"bytes a client {told} per round ({detail})", total))
    return Sheet(
        "Cost",
        ("", "mean of the runs"),
        texts(rows),
        f"{where['cores']} cores, threads: {where['threads']}, torch {where['torch']}, no GPU. A run that "
        "was stopped and gone on with tells the time of its last process.",
    )


def _cell(found: Mapping[str, Any] | None, measure: str, *, signed: bool = False) -> str:
    return shown(_estimate(found), SAY[measure], signed=signed)


def _estimate(found: Mapping[str, Any] | None) -> Estimate | None:
    return None if found is None else Estimate(**{**found, "values": tuple(found["values"])})


def _mean(found: Mapping[str, Any] | None, say: Callable[[float | None], str]) -> str:
    return say(found["mean"]) if found else MISSING
