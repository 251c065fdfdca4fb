"""What a round depends on, what it asks for while it is played, and what comes of it.

`server/round.py` plays it. Nothing here knows Flower, files or models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.errors import RengaError
from renga.models.adapter import Adapter
from renga.models.example import Example
from renga.models.knowledge import Rows
from renga.models.vocabulary import Vocabulary
from renga.protocol.messages import Description

Blob = NDArray[np.uint8]
Turn = tuple[int, int]  # (round, attempt)


@dataclass(frozen=True)
class Settings:
    """What every round of a federation has in common."""

    quorum: int
    top_k: int = 16
    floor: float = 1e-4
    distillation: float = 0.5
    temperature: float = 1.0
    agreement: float = 0.5
    answer_tokens: int = 16
    rank: int = 0
    tolerance: float = 0.0
    coding: str = "blocks8"


@dataclass(frozen=True)
class Participant:
    """A client as the server knows it: the turn it last finished, and the adopted merge it has a copy of."""

    description: Description
    vocabulary: Vocabulary
    since: Turn | None = None
    holds: Turn | None = None

    @property
    def cohort(self) -> str:
        return self.description.base


@dataclass(frozen=True)
class Plan:
    """All that a round depends on."""

    round: int
    attempt: int
    seed: int
    participants: Mapping[str, Participant]
    transfer: Sequence[Example]
    slice: Sequence[int]
    adapters: Mapping[str, Adapter]  # by cohort, as adopted so far
    adopted: Mapping[str, Turn]
    host: str
    host_vocabulary_size: int
    settings: Settings

    @property
    def turn(self) -> Turn:
        return (self.round, self.attempt)


@dataclass(frozen=True)
class Ask:
    """Send these to clients, by name; the result is `Heard`."""

    kind: str
    requests: Mapping[str, Blob]


@dataclass(frozen=True)
class Heard:
    """What clients replied, and why the others did not: name -> (status "late" | "failed", reason)."""

    replies: Mapping[str, Blob]
    missing: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class HostLosses:
    """Let the host read these texts; the result is its losses, [texts] float32, bits per byte."""

    texts: Sequence[Example]


@dataclass(frozen=True)
class HostRows:
    """Let the host say its rows of these texts; the result is a list of Rows."""

    texts: Sequence[Example]


@dataclass(frozen=True)
class Teaching:
    """A public text for the host: with the rows of the client who knows it best, if one does.

    `settled`: it is a bare prompt with the answer that stands for it.
    """

    text: Example
    teacher: str = ""
    rows: Rows | None = None
    settled: bool = False


@dataclass(frozen=True)
class TeachHost:
    """Let the host learn; the result is `HostLearned`."""

    lessons: Sequence[Teaching]


@dataclass(frozen=True)
class HostLearned:
    """What became of it. `record` is what the metrics say: losses, validation, whether adopted and why."""

    record: Mapping[str, Any]


Effect = Ask | HostLosses | HostRows | TeachHost


@dataclass(frozen=True)
class Outcome:
    """A finished round: what to keep, and what to tell."""

    adapters: Mapping[str, Adapter]
    adopted: Mapping[str, Turn]
    participants: Mapping[str, Participant]
    record: Mapping[str, Any]


class RoundAbandoned(RengaError):
    """Too few clients finished a step; nothing of the round was kept."""
