"""What several runs of one federation say together: means, intervals, targets, cost.

Everything that compares two models is paired by seed. Quality is judged on bits per byte and, beside it, on
accuracy: a target can be met by one and missed by the other, and both are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from renga.simulations.bench_statistics import Estimate, differences, estimate
from renga.simulations.bench_tables import shown
from renga.simulations.metrics import HOST, Metrics, Part, mapping, number, numbers
from renga.simulations.units import bits, percent
from renga.simulations.verdict import SAME

MEASURES = ("bits_per_byte", "accuracy")
CLIENT_STAGES = ("before", "alone", "federated")
HOST_STAGES = ("before", "public", "federated", "centralised")
PARTS: tuple[Part, ...] = ("own", "others")
CLOSED_AT_LEAST = 0.5

WORSE = {"bits_per_byte": 1, "accuracy": -1}  # the sign of a difference that is a loss
SAY: dict[str, Callable[[float | None], str]] = {
    "bits_per_byte": bits,
    "accuracy": lambda value: percent(value, 1),
}
NAMES = {"bits_per_byte": "bits per byte", "accuracy": "accuracy"}

Series = list[float | None]
Estimates = dict[str, Estimate | None]


def summarise(runs: Sequence[Metrics]) -> dict[str, Any]:
    """Estimates over the runs, as JSON takes them: `clients`, `host`, `domains`, `targets`, `cost`.

    An estimate is None where a run lacks the measure. Differences are federated minus alone, the host's
    federated minus public only.
    """
    names = [client.name for client in runs[0].clients]
    clients = {name: {part: _client(runs, [name], part) for part in PARTS} for name in names}
    average = {part: _client(runs, names, part) for part in PARTS}
    host = _host(runs)
    return {
        key: _plain(value)
        for key, value in {
            "clients": clients,
            "clients_together": average,
            "host": host,
            "domains": _by_domain(runs, names),
            "targets": [target for measure in MEASURES for target in _targets(clients, host, measure)],
            "cost": _cost(runs, names),
        }.items()
    }


def _client(runs: Sequence[Metrics], names: Sequence[str], part: Part) -> dict[str, Estimates]:
    """One client, or the mean over several."""
    found = {stage: {m: _series(runs, names, stage, part, m) for m in MEASURES} for stage in CLIENT_STAGES}
    pairs = {m: differences(found["federated"][m], found["alone"][m]) for m in MEASURES}
    stages = {stage: {m: estimate(values[m]) for m in MEASURES} for stage, values in found.items()}
    return {**stages, "difference": {m: estimate(values) for m, values in pairs.items()}}


def _host(runs: Sequence[Metrics]) -> dict[str, Any]:
    found = {stage: {m: _series(runs, [HOST], stage, "all", m) for m in MEASURES} for stage in HOST_STAGES}
    stages: dict[str, Any] = {
        stage: {m: estimate(values[m]) for m in MEASURES} for stage, values in found.items()
    }
    pairs = {m: differences(found["federated"][m], found["public"][m]) for m in MEASURES}
    stages["difference"] = {m: estimate(values) for m, values in pairs.items()}
    stages["closed"] = {
        m: _closed(found["public"][m], found["federated"][m], found["centralised"][m], m) for m in MEASURES
    }
    return stages


def _closed(public: Series, federated: Series, centralised: Series, measure: str) -> Estimate | None:
    """The share of the way, run by run; where a run has no way to go, that of the means over all runs.

    A share of means has no interval: a run whose way is short would else count for more than all others.
    """
    each = estimate(closed(public, federated, centralised, measure))
    if each is not None:
        return each
    means = [estimate(series) for series in (public, federated, centralised)]
    start, here, best = ([mean.mean if mean else None] for mean in means)
    return estimate(closed(start, here, best, measure))


def closed(public: Series, federated: Series, centralised: Series, measure: str) -> Series:
    """Per run the share of the way from public only to centralised that the federation went.

    None for a run in which all text in one place is not clearly better: there is then no way to go.
    """
    sign = WORSE[measure]
    shares: Series = []
    for start, here, best in zip(public, federated, centralised, strict=True):
        if start is None or here is None or best is None or sign * (start - best) <= SAME * abs(start):
            shares.append(None)
        else:
            shares.append((start - here) / (start - best))
    return shares


def _series(runs: Sequence[Metrics], names: Sequence[str], stage: str, part: Part, measure: str) -> Series:
    values: Series = []
    for run in runs:
        # A domain of free answers may have no accuracy: then it is the mean of the others.
        found = [getattr(run.measure(name, stage, part), measure) for name in names]
        each = [value for value in found if value is not None]
        values.append(sum(each) / len(each) if each else None)
    return values


def _by_domain(runs: Sequence[Metrics], names: Sequence[str]) -> dict[str, Any]:
    """who -> stage -> domain -> means over the runs."""
    table: dict[str, Any] = {}
    for who, stages in [*((name, CLIENT_STAGES) for name in names), (HOST, HOST_STAGES)]:
        for stage in stages:
            scores = [score for run in runs if (score := run.score(who, stage))]
            for domain in scores[0].domains if len(scores) == len(runs) else ():
                values = {
                    m: estimate([number(mapping(s.domains.get(domain)).get(m)) for s in scores])
                    for m in MEASURES
                }
                means = {m: None if found is None else found.mean for m, found in values.items()}
                table.setdefault(who, {}).setdefault(stage, {})[domain] = means
    return table


def _targets(clients: Mapping[str, Any], host: Mapping[str, Any], measure: str) -> list[dict[str, Any]]:
    sign, say, words = WORSE[measure], SAY[measure], f"on {NAMES[measure]}"
    share: Estimate | None = host["closed"][measure]
    own, others = (
        {name: d for name, client in clients.items() if (d := client[part]["difference"][measure])}
        for part in PARTS
    )
    worse = [name for name, d in own.items() if _surely(d, sign)]
    behind = [name for name, d in others.items() if sign * d.mean >= 0]
    sure = sum(_surely(d, -sign) for d in others.values())
    best: Estimate | None = host["centralised"][measure]
    told = "not measured" if best is None else "not clearly better than public only in every run"
    return [
        {
            "target": f"the host closes half of the way from public only to centralised, {words}",
            "met": None if share is None else share.mean >= CLOSED_AT_LEAST,
            "said": f"closed {shown(share, percent)}" if share else f"centralised is {told}",
        },
        {
            "target": f"no client is worse than alone on its own domain within the interval, {words}",
            "met": not worse if own else None,
            "said": _said(own, say, f"worse: {', '.join(worse)}" if worse else "none is"),
        },
        {
            "target": f"every client is better than alone on the others' domains, {words}",
            "met": not behind if others else None,
            "said": _said(
                others,
                say,
                f"not better: {', '.join(behind)}" if behind else f"all are, {sure} beyond chance",
            ),
        },
    ]


def _surely(difference: Estimate, sign: int) -> bool:
    """Whether the difference has this sign throughout its interval (with one run: at all)."""
    low = difference.mean if difference.low is None else difference.low
    high = difference.mean if difference.high is None else difference.high
    return (low if sign > 0 else -high) > 0


def _said(found: Mapping[str, Estimate], say: Callable[[float | None], str], verdict: str) -> str:
    if not found:
        return "not measured"
    each = ", ".join(f"{name} {shown(d, say, signed=True)}" for name, d in found.items())
    return f"{verdict} ({each})"


def _cost(runs: Sequence[Metrics], names: Sequence[str]) -> dict[str, Any]:
    """Of a run: seconds of its last process, overhead of its rounds, bytes per client and round."""
    ends = [run.end for run in runs]
    traffic = {
        direction: estimate([_per_client_and_round(run, names, direction) for run in runs])
        for direction in ("up", "down")
    }
    kinds = {
        direction: sorted(
            {kind for run in runs for part in _parts(run, names, direction) for kind in numbers(part)}
        )
        for direction in ("up", "down")
    }
    return {
        "seconds": estimate([number(end.get("seconds")) for end in ends]),
        "peak_memory_bytes": max((number(end.get("peak_memory_bytes")) or 0 for end in ends), default=0),
        "overhead": estimate([overhead(run) for run in runs]),
        "bytes_per_client_and_round": traffic,
        "bytes_by_kind": {
            direction: {
                kind: estimate([_per_client_and_round(run, names, direction, kind) for run in runs])
                for kind in found
            }
            for direction, found in kinds.items()
        },
    }


def overhead(run: Metrics) -> float | None:
    """Wall time of the rounds over the time inside torch."""
    times = [(number(r.get("seconds")), number(r.get("torch_seconds"))) for r in run.rounds.values()]
    known = [(wall, torch) for wall, torch in times if wall and torch]
    return sum(w for w, _ in known) / sum(t for _, t in known) if known else None


def _parts(run: Metrics, names: Sequence[str], direction: str) -> list[object]:
    clients = [mapping(record.get("clients")) for record in run.rounds.values()]
    return [mapping(client.get(name)).get(f"bytes_{direction}") for client in clients for name in names]


def _per_client_and_round(
    run: Metrics, names: Sequence[str], direction: str, kind: str | None = None
) -> float | None:
    parts = _parts(run, names, direction)
    totals = [sum(found.values()) if kind is None else found.get(kind, 0.0) for found in map(numbers, parts)]
    return sum(totals) / len(totals) if totals else None


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return value.as_dict()
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value
