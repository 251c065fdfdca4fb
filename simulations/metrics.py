"""What a run wrote down, read back: `metrics.jsonl`, one JSON object a line.

A run may have been killed anywhere, so nothing here insists: lines that can't be read are counted, fields
that are missing or of another type are taken as absent, and of a round written twice the later one counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from renga.errors import RengaError
from renga.simulations.units import printable

Record: TypeAlias = Mapping[str, Any]
Part: TypeAlias = Literal["own", "others", "all"]

HOST = "host"


@dataclass(frozen=True)
class Client:
    """One client as the run described it."""

    name: str
    model: str = ""
    domain: str = ""
    rank: float | None = None
    alpha: float | None = None
    texts: float | None = None


@dataclass(frozen=True)
class Measure:
    """Held-out quality, averaged over domains; None where nothing was measured."""

    bits_per_byte: float | None = None
    accuracy: float | None = None


@dataclass(frozen=True)
class Score:
    """What one model scored at one time: domain -> record of measures."""

    round: int
    who: str
    stage: str
    domains: Mapping[str, Record]


@dataclass(frozen=True)
class Metrics:
    """A whole run. `rounds` maps a round's number to its record; `end` is empty if the run never ended."""

    run: Record
    clients: tuple[Client, ...]
    scores: tuple[Score, ...]
    rounds: Mapping[int, Record]
    end: Record
    unreadable: int = 0

    def client(self, name: str) -> Client:
        """The client called `name`, or an empty description of it."""
        return next((c for c in self.clients if c.name == name), Client(name))

    def score(self, who: str, stage: str, round: int | None = None) -> Score | None:
        """The latest score of `who` at `stage`, or the one of `round`."""
        found = [s for s in self.scores if (s.who, s.stage) == (who, stage) and round in (None, s.round)]
        return max(found, key=lambda s: s.round) if found else None

    def measure(self, who: str, stage: str, part: Part, round: int | None = None) -> Measure:
        """Mean over domains: the client's own one, all others, or all. Every domain weighs the same."""
        score = self.score(who, stage, round)
        if score is None:
            return Measure()
        own = self.client(who).domain
        chosen = [r for d, r in score.domains.items() if part == "all" or (d == own) == (part == "own")]
        return Measure(_mean(chosen, "bits_per_byte"), _mean(chosen, "accuracy"))

    def learned_alone(self, who: str, part: Part) -> Measure:
        """Without the federation: a client on its private text, the host on the public texts."""
        alone = self.measure(who, "alone", part)
        return alone if alone != Measure() or who != HOST else self.measure(who, "public", part)

    def traffic(self, who: str, direction: str) -> float:
        """Bytes a client sent ("up") or received ("down") over the run; for the host, of all its clients."""
        names = [c.name for c in self.clients] if who == HOST else [who]
        records = [mapping(mapping(r.get("clients")).get(n)) for r in self.rounds.values() for n in names]
        return sum(sum(numbers(r.get(f"bytes_{direction}")).values()) for r in records)


def mapping(value: object) -> Record:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def number(value: object) -> float | None:
    """The value if it is a number that a run can have (finite, under 1e18), else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e18 < value < 1e18:
        return None
    return float(value)


def numbers(value: object) -> dict[str, float]:
    """The finite numbers of a mapping, by name."""
    found = ((k, number(v)) for k, v in mapping(value).items())
    return {k: v for k, v in found if v is not None}


def series(value: object) -> list[float]:
    """The finite numbers of a list, in order."""
    found = (number(v) for v in value) if isinstance(value, list | tuple) else ()
    return [v for v in found if v is not None]


def words(value: object) -> list[str]:
    """The texts in a list."""
    return [v for v in value if isinstance(v, str)] if isinstance(value, list | tuple) else []


def read_metrics(folder: Path) -> Metrics:
    """Read `metrics.jsonl` in a run's folder. Raises RengaError if there is none."""
    path = Path(folder) / "metrics.jsonl"
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise RengaError(
            f"can't read {path}: {error.strerror}", hint="give the folder of a run, such as runs/quickstart"
        ) from error
    records, unreadable = [], 0
    for line in filter(str.strip, lines):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            records.append(record)
        else:
            unreadable += 1
    return metrics_of(records, unreadable)


def metrics_of(records: Iterable[Record], unreadable: int = 0) -> Metrics:
    """Sort the records of a run by kind. Every text in them is made printable here, once."""
    run: Record = {}
    end: Record = {}
    scores: list[Score] = []
    rounds: dict[int, Record] = {}
    for record in map(mapping, map(_printable, records)):
        kind, turn = record.get("kind"), number(record.get("round"))
        if kind == "run":
            run = record
        elif kind == "end":
            end = record
        elif kind == "round" and turn is not None:
            rounds[int(turn)] = record
        elif kind == "score":
            domains = {d: mapping(s) for d, s in mapping(record.get("scores")).items()}
            who, stage = str(record.get("who", "")), str(record.get("stage", ""))
            # a resumed run scores again: the later score replaces the earlier one of that round
            scores = [s for s in scores if (s.round, s.who, s.stage) != (int(turn or 0), who, stage)]
            scores.append(Score(int(turn or 0), who, stage, domains))
    rounds = dict(sorted(rounds.items()))
    return Metrics(run, _clients(run, scores, rounds), tuple(scores), rounds, end, unreadable)


def _clients(run: Record, scores: list[Score], rounds: Mapping[int, Record]) -> tuple[Client, ...]:
    """The clients the run named, then any that only turn up later."""
    named: dict[str, Client] = {}
    listed = run.get("clients")
    for entry in map(mapping, listed if isinstance(listed, list | tuple) else ()):
        if name := str(entry.get("name", "")):
            model, domain = str(entry.get("model", "")), str(entry.get("domain", ""))
            rank, alpha, texts = (number(entry.get(key)) for key in ("rank", "alpha", "texts"))
            named[name] = Client(name, model, domain, rank, alpha, texts)
    seen = [s.who for s in scores] + [n for r in rounds.values() for n in mapping(r.get("clients"))]
    return tuple(({name: Client(name) for name in seen if name and name != HOST} | named).values())


def _printable(value: object, depth: int = 8) -> object:
    if depth == 0:  # deeper than anything a run writes
        return None
    if isinstance(value, Mapping):
        return {printable(k): _printable(v, depth - 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(v, depth - 1) for v in value]
    return printable(value) if isinstance(value, str) else value


def _mean(records: Iterable[Record], key: str) -> float | None:
    values = [v for v in (number(r.get(key)) for r in records) if v is not None]
    return sum(values) / len(values) if values else None
