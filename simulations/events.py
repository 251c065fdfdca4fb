"""What a simulated federation tells while it runs.

The code that runs the federation calls `emit(event)` and knows nothing of who listens: a live display,
plain lines, a test's list. Events carry numbers and names only, so they cross a process boundary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Phase: TypeAlias = Literal["private", "transfer", "host", "answering", "scoring"]
Direction: TypeAlias = Literal["up", "down"]


@dataclass(frozen=True)
class RunStarted:
    """The first event. `edge_models` maps each client to its model; `expected_seconds` is the estimate
    shown until a round has been timed, if there is one."""

    name: str
    rounds: int
    clients: tuple[str, ...]
    host: str
    edge_models: Mapping[str, str]
    folder: str
    expected_seconds: float | None = None


@dataclass(frozen=True)
class Stage:
    """What is being done outside a round, in words: "loading gemma-3-270m"."""

    text: str


@dataclass(frozen=True)
class RoundStarted:
    round: int  # from 1


@dataclass(frozen=True)
class Step:
    """`who` finished `step` of `steps` in `phase`. `tokens` counts those read since the phase began, so that
    steps may be left out; `loss` is in nats per token, as the optimiser saw it."""

    who: str
    phase: Phase
    step: int
    steps: int
    loss: float | None = None
    tokens: int = 0


@dataclass(frozen=True)
class Traffic:
    """`bytes` left a client ("up") or reached it ("down"); kinds: adapter, losses, rows, answers, texts."""

    who: str
    direction: Direction
    kind: str
    bytes: int


@dataclass(frozen=True)
class LeftOut:
    round: int
    client: str
    reason: str


@dataclass(frozen=True)
class Merged:
    """The adapters of a cohort became one. `error` is the share of the exact average lost at `rank`."""

    round: int
    cohort: str
    clients: tuple[str, ...]
    error: float
    rank: int


@dataclass(frozen=True)
class Gate:
    """Whether `what` ("host", or a cohort) was adopted; `before` and `after` in validation bits per byte."""

    round: int
    what: str
    adopted: bool
    before: float | None
    after: float | None
    reason: str = ""


@dataclass(frozen=True)
class Scored:
    """Held-out scores: domain -> measure ("bits_per_byte", "accuracy", "texts") -> value."""

    who: str
    stage: str
    scores: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class RoundFinished:
    round: int
    seconds: float
    bytes_up: int
    bytes_down: int


@dataclass(frozen=True)
class RunFinished:
    folder: str
    seconds: float


Event: TypeAlias = (
    RunStarted
    | Stage
    | RoundStarted
    | Step
    | Traffic
    | LeftOut
    | Merged
    | Gate
    | Scored
    | RoundFinished
    | RunFinished
)
Emit: TypeAlias = Callable[[Event], None]
