"""Coefficients searched for against a score: a few numbers per model, found by trying merges out.

LoraHub (arXiv:2307.13269) does so for one number per model, without gradients, from a few examples; here the
merge is the exact one of updates (LoraHub's multiplies summed factors, whose scale is the square of the
coefficients). `anchors` numbers per model make them change with the depth (see `schedule`).

* "cmaes": CMA-ES (Hansen, arXiv:1604.00772), by the package `cmaes`; for up to some ten numbers.
* "bayes": Bayesian optimisation with tree-structured Parzen estimators, by `optuna`; for small budgets.

A search is a function of its seed: the same seed tries the same coefficients. Every try is written to
`trace`, one line of JSON each, before the next one begins; a search that is started again with the same trace
reads the scores of what it tried before and goes on from there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from renga.errors import RengaError, UsageError, did_you_mean
from renga.models.adapter import Adapter
from renga.server.merging.adapters import merge
from renga.server.merging.lowrank import Merged
from renga.server.merging.parts import identity

Score = Callable[[Adapter], float]  # higher is better

SEARCHES = ("bayes", "cmaes")


@dataclass(frozen=True)
class Searching:
    """How to search. Coefficients lie between `low` and `high`; `frugal` times their mean size is taken off
    the score (LoraHub's 0.05 times the sum of their sizes, made independent of how many there are)."""

    by: str = "cmaes"
    tries: int = 40
    method: str = "average"
    anchors: int = 1
    low: float = -1.5
    high: float = 1.5
    frugal: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Found:
    """The best merge of a search, its coefficients [inputs][anchors], its score, and all tries in order."""

    merged: Merged
    coefficients: list[list[float]]
    score: float
    tries: list[tuple[list[list[float]], float]]


def search(
    adapters: Sequence[Adapter],
    score: Score,
    how: Searching,
    *,
    trace: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
    **settings: Any,
) -> Found:
    """Search the coefficients of a merge. The first try is the plain average, so that the result is no worse.

    UsageError for an unknown search; RengaError for a trace of another search, or where a package is missing.
    """
    if how.by not in SEARCHES:
        raise UsageError(f"there is no search {how.by!r}", hint=did_you_mean(how.by, SEARCHES))
    if how.tries < 1 or how.anchors < 1 or not how.low < how.high:
        raise UsageError("a search needs a try, an anchor, and room between low and high")
    known = _read(trace, how, adapters)
    count = len(adapters) * how.anchors
    proposals = (_cmaes if how.by == "cmaes" else _bayes)(how, count, len(adapters))
    tries: list[tuple[list[list[float]], float]] = []
    best: tuple[float, Merged] | None = None
    value: float | None = None
    for number in range(how.tries):
        flat = next(proposals) if value is None else proposals.send(value)
        coefficients = np.reshape(flat, (len(adapters), how.anchors)).tolist()
        if number < len(known):
            if not np.allclose(known[number][0], coefficients, rtol=1e-12, atol=1e-12):
                raise RengaError(f"{trace} is of another search", hint="name another file for the trace")
            value, merged = known[number][1], None
        else:
            merged = _merged(adapters, how, coefficients, settings)
            value = score(merged.adapter) - how.frugal * float(np.mean(np.abs(flat)))
            _append(trace, {"coefficients": coefficients, "score": value})
            tell(f"try {number + 1} of {how.tries}: {value:.5f}")
        tries.append((coefficients, value))
        if best is None or value > best[0]:
            best = value, merged or _merged(adapters, how, coefficients, settings)
    assert best is not None
    chosen = max(range(len(tries)), key=lambda k: (tries[k][1], -k))
    return Found(best[1], tries[chosen][0], best[0], tries)


def _merged(
    adapters: Sequence[Adapter], how: Searching, coefficients: list[list[float]], settings: dict[str, Any]
) -> Merged:
    if not np.any(coefficients):
        coefficients = [[1e-9] * how.anchors for _ in adapters]  # nothing at all is no merge
    return merge(adapters, how.method, coefficients, normalise=False, **settings)


def _cmaes(how: Searching, count: int, inputs: int) -> Generator[np.ndarray, float, None]:
    """Proposals, each answered (`send`) with its score."""
    cmaes = _package("cmaes")
    start = np.full(count, 1 / inputs)
    bounds = np.array([[how.low, how.high]] * count)
    optimiser = cmaes.CMA(mean=start, sigma=(how.high - how.low) / 6, bounds=bounds, seed=how.seed % 2**31)
    solutions, asked = [], 0
    while True:
        for _ in range(optimiser.population_size):
            x = optimiser.ask() if asked else start.copy()
            asked += 1
            value = yield x
            solutions.append((x, -value))
        optimiser.tell(solutions)
        solutions = []


def _bayes(how: Searching, count: int, inputs: int) -> Generator[np.ndarray, float, None]:
    """As `_cmaes`."""
    optuna = _package("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=how.seed % 2**31, n_startup_trials=min(10, how.tries // 3 + 1))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.enqueue_trial({f"c{k}": 1 / inputs for k in range(count)})
    while True:
        trial = study.ask()
        x = np.array([trial.suggest_float(f"c{k}", how.low, how.high) for k in range(count)])
        value = yield x
        study.tell(trial, value)


def _package(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RengaError(
            f"the search needs the package {name}", hint="pip install 'renga[search]' brings it"
        ) from error


def _read(trace: Path | None, how: Searching, adapters: Sequence[Adapter]) -> list[tuple[Any, float]]:
    """What a trace holds of this very search; a fresh trace gets its head."""
    head = {**asdict(how), "inputs": [identity(adapter)[:16] for adapter in adapters]}
    del head["tries"]  # more tries go on from where fewer ended
    if trace is None:
        return []
    if not trace.exists():
        trace.parent.mkdir(parents=True, exist_ok=True)
        _append(trace, head)
        return []
    lines = trace.read_text(encoding="utf-8").split("\n")
    whole = [json.loads(line) for line in lines[:-1]]  # a line that was cut off has no end
    if not whole or whole[0] != head:
        raise RengaError(f"{trace} is of another search", hint="name another file for the trace")
    if lines[-1]:
        trace.write_text("".join(f"{line}\n" for line in lines[:-1]), encoding="utf-8")
    return [(line["coefficients"], float(line["score"])) for line in whole[1:]]


def _append(trace: Path | None, record: dict[str, Any]) -> None:
    if trace is not None:
        with trace.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
