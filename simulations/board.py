"""What a live display knows of a run: taken in event by event, without drawing anything."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from renga.simulations.events import (
    Event,
    Gate,
    LeftOut,
    Merged,
    RoundFinished,
    RoundStarted,
    RunFinished,
    RunStarted,
    Scored,
    Stage,
    Step,
    Traffic,
)
from renga.simulations.metrics import HOST
from renga.simulations.units import bits, duration, listing, percent, printable, size

LOG_LINES = 5
WORDS = {
    "private": "private text",
    "transfer": "public texts",
    "host": "public texts",
    "answering": "answers",
    "scoring": "tests",
}


def describe(event: Event) -> str | None:
    """An event in one printable line; None where a line would be too much."""
    line = _describe(event)
    return None if line is None else printable(line)


def _describe(event: Event) -> str | None:
    match event:
        case RunStarted(name=name, rounds=rounds, clients=clients, host=host, folder=folder):
            return f"{name}: {len(clients)} clients, host {host}, {rounds} rounds; written to {folder}"
        case Stage(text=text):
            return text
        case RoundStarted(round=number):
            return f"round {number} begins"
        case Step(who=who, phase="private" | "host" as phase, step=step, steps=steps, loss=loss) if (
            step == steps
        ):
            return f"{who} learned from {WORDS[phase]}: {steps} steps, loss {bits(loss)}"
        case LeftOut(round=number, client=client, reason=reason):
            return f"round {number}: {client} was left out: {reason}"
        case Merged(round=number, cohort=cohort, clients=clients, error=error, rank=rank):
            who = listing(list(clients)) if len(clients) <= 4 else f"{len(clients)} clients"
            return f"round {number}: merged {who} (cohort {cohort}, rank {rank}, {percent(error, 1)} lost)"
        case Gate(round=number, what=what, adopted=adopted, before=before, after=after, reason=reason):
            verb = "adopted" if adopted else "not adopted"
            why = f": {reason}" if reason else ""
            return f"round {number}: {what} {verb}, {bits(before)} → {bits(after)} bits per byte{why}"
        case Scored(who=who, stage=stage, scores=scores):
            known = [v for v in (s.get("bits_per_byte") for s in scores.values()) if v is not None]
            mean = f" {bits(sum(known) / len(known))} bits per byte" if known else ""
            return f"{who} scored ({stage}){':' + mean if mean else ''}"
        case RoundFinished(round=number, seconds=seconds, bytes_up=up, bytes_down=down):
            return f"round {number} done in {duration(seconds)}, {size(up)} up, {size(down)} down"
        case RunFinished(folder=folder, seconds=seconds):
            return f"done in {duration(seconds)}: {folder}"
    return None


@dataclass
class Row:
    """What one participant is doing."""

    phase: str = ""
    step: int = 0
    steps: int = 0
    losses: deque[float] = field(default_factory=lambda: deque(maxlen=64))
    tokens: int = 0
    first: tuple[float, int] | None = None  # when this phase was first heard of, and its tokens then
    speed: float | None = None
    sent: int = 0
    received: int = 0
    seen: float = 0.0
    left_out: bool = False


@dataclass
class Board:
    """All that the live display shows, kept up to date by events."""

    run: RunStarted | None = None
    stage: str = ""
    round: int = 0
    in_round: bool = False
    rows: dict[str, Row] = field(default_factory=dict)
    log: deque[tuple[str, bool]] = field(
        default_factory=lambda: deque(maxlen=LOG_LINES)
    )  # line, is it a warning
    started: float = field(default_factory=time.monotonic)
    round_started: float = 0.0
    rounds_done: list[float] = field(default_factory=list)
    finished: bool = False

    def note(self, event: Event, now: float | None = None) -> None:
        """Take an event in. `now` is monotonic seconds."""
        now = time.monotonic() if now is None else now
        match event:
            case RunStarted(clients=clients):
                self.run, self.started = event, now
                self.rows = {name: Row() for name in (*clients, HOST)}
            case Stage(text=text):
                self.stage = text
            case RoundStarted(round=number):
                self.round, self.round_started, self.in_round, self.stage = number, now, True, ""
                for row in self.rows.values():
                    row.phase, row.step, row.steps, row.left_out = "", 0, 0, False
            case Step():
                self._step(event, now)
            case Traffic(who=who, direction=direction, bytes=count):
                row, host = self.rows.setdefault(who, Row()), self.rows.setdefault(HOST, Row())
                if direction == "up":  # what a client sends, the host receives
                    row.sent, host.received = row.sent + count, host.received + count
                else:
                    row.received, host.sent = row.received + count, host.sent + count
            case LeftOut(client=client):
                self.rows.setdefault(client, Row()).left_out = True
            case RoundFinished(seconds=seconds):
                self.in_round = False
                self.rounds_done.append(seconds)
            case RunFinished():
                self.finished = True
        if isinstance(event, LeftOut | Merged | Gate | RoundFinished):
            warning = isinstance(event, LeftOut) or (isinstance(event, Gate) and not event.adopted)
            self.log.append((describe(event) or "", warning))

    def _step(self, event: Step, now: float) -> None:
        row = self.rows.setdefault(event.who, Row())
        if row.phase != event.phase or event.step < row.step:
            row.phase, row.first, row.speed = event.phase, (now, event.tokens), None
            row.losses.clear()
        elif row.first is not None and now > row.first[0]:
            row.speed = (event.tokens - row.first[1]) / (now - row.first[0])
        row.step, row.steps, row.tokens, row.seen = event.step, event.steps, event.tokens, now
        if event.loss is not None:
            row.losses.append(event.loss)

    def seconds_left(self, now: float) -> float | None:
        """From the mean of the rounds so far; before the first, from what the run expected of itself."""
        if self.run is None or self.finished:
            return None
        if not self.rounds_done:
            expected = self.run.expected_seconds
            return None if expected is None else max(0.0, expected - (now - self.started))
        mean = sum(self.rounds_done) / len(self.rounds_done)
        inside = now - self.round_started
        return max(0.0, mean * (self.run.rounds - self.round) + max(0.0, mean - inside) * self.in_round)
