"""The contract: what every language model here offers, wherever it runs and whatever it is made of.

A collaboration of models is again a model, and a model is a model wherever it runs; both rest on the two
moves of a `Session`. Everything else (generating, scoring, measuring) is derived once, in other modules.
This module knows of no implementation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import torch

from renga.models.vocabulary import Vocabulary


class Clearance(StrEnum):
    """How far a prompt may travel. The encoder that puts prompts on the wire refuses RAW."""

    RAW = "raw"
    SANITISED = "sanitised"
    PUBLIC = "public"


@dataclass(frozen=True)
class Said:
    """An earlier message of a conversation. role: system, user or assistant."""

    role: str
    text: str


@dataclass(frozen=True)
class Prompt:
    """What is asked, and what was said `before` it, oldest first. Each model renders it by its own
    template."""

    text: str
    clearance: Clearance = Clearance.RAW
    before: tuple[Said, ...] = ()

    def asking(self, text: str) -> Prompt:
        """Another question in the same conversation, with the same clearance."""
        return replace(self, text=text)

    @property
    def whole(self) -> str:
        """All of its text, to be measured or searched."""
        return "\n".join([*(said.text for said in self.before), self.text])


@dataclass(frozen=True)
class Full:
    """Want whole rows: log-probabilities of every token."""


@dataclass(frozen=True)
class TopK:
    """Want the k most probable tokens of each place, and the mass of the rest."""

    k: int


@dataclass(frozen=True)
class Scores:
    """Want the log-probability of each id fed, and nothing else."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are picked. `temperature` 0 is greedy; `top_p` and `top_k` cut the distribution first."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 128
    seed: int = 0


@dataclass(frozen=True)
class Verify:
    """Want the ids that the model itself would emit, up to its first disagreement with the ids fed.

    offset: bytes of the answer before the current place. silent: tokens without bytes that were emitted at
    that offset. Both belong to the noise (see `renga.models.noise`), and count for nothing when greedy.
    """

    sampling: Sampling
    offset: int = 0
    silent: int = 0


Want = Full | TopK | Scores | Verify


@dataclass(frozen=True)
class Answer:
    """What a session says of the places it was asked about; which fields are set follows from the want.

    Full: `logp` [places, vocabulary]. TopK: `logp` and `ids` [places, k], falling, with a k no larger than
    the vocabulary, and `tail` [places], the natural log of the mass of all other tokens. Scores: `scores`
    [ids fed]. Verify: `ids` [emitted], at least one: the drafts that the model agrees with, then its own
    next token; the session has read the drafts before that token, and forgotten the rest. All natural logs,
    float32 (float64 for a float64 model). `places` is the number of ids fed plus one: the current place,
    then the one after each id.
    """

    logp: torch.Tensor | None = None
    ids: torch.Tensor | None = None
    tail: torch.Tensor | None = None
    scores: torch.Tensor | None = None


class Session(Protocol):
    """One conditioned model."""

    def feed(self, ids: Sequence[int], want: Want = Full()) -> Answer:
        """Read `ids`; answer for the current place and the one after each id."""
        ...

    def rewind(self, length: int) -> None:
        """Forget everything after the first `length` ids read since the session opened."""
        ...


class LanguageModel(Protocol):
    """Anything that continues text, one distribution at a time."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def offers(self) -> frozenset[type[Want]]: ...

    def open(self, prompt: Prompt) -> Session: ...


@dataclass(frozen=True)
class Piece:
    """A piece of a streamed answer: whole characters only."""

    text: str


class Responder(Protocol):
    """The coarser contract of strategies on whole answers; every LanguageModel is one, through `respond`."""

    def respond(self, prompt: Prompt, sampling: Sampling) -> Iterator[Piece]: ...
