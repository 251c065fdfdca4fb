"""What the local endpoint and the chat may ask: the federation, or a model or plan on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from renga.client.federation import Federation
from renga.errors import UsageError
from renga.models.contract import LanguageModel, Piece, Prompt, Responder, Sampling
from renga.models.responders import respond_by


class NoSuchModel(UsageError):
    """Nothing of that name can be asked."""


@dataclass
class Used:
    """What an answer took: tokens, bytes over the network, seconds, and by which plan."""

    plan: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    sent: int = 0
    received: int = 0
    seconds: float = 0.0


class Answerer(Protocol):
    """leaves: prompts go to another machine, and must be cleared first."""

    @property
    def leaves(self) -> bool: ...

    def answer(self, prompt: Prompt, sampling: Sampling, used: Used) -> Iterator[Piece]:
        """The answer in pieces; `used` is filled in on the way."""
        ...


@dataclass(frozen=True)
class ByServer:
    """A plan that the server runs."""

    federation: Federation
    plan: str
    leaves: bool = True

    def answer(self, prompt: Prompt, sampling: Sampling, used: Used) -> Iterator[Piece]:
        reply = self.federation.ask(prompt, sampling, "" if self.plan == "host" else self.plan)
        pieces, whole, start = 0, False, time.perf_counter()
        try:
            for piece in reply:
                pieces += 1
                yield piece
            whole = True
        finally:
            told = (
                reply.usage
            )  # of the first piece, then of all: who stopped before the end has counted pieces
            used.sent, used.received = reply.sent, reply.received
            used.completion_tokens = int(told.tokens_written) or pieces if whole else pieces
            used.seconds = float(told.seconds) if whole else time.perf_counter() - start
            used.prompt_tokens = max(0, int(told.tokens_read) - int(told.tokens_written))


@dataclass(frozen=True)
class ByModel:
    """A model or responder on this machine; it `leaves` if a part of it is elsewhere."""

    opened: Callable[[], LanguageModel | Responder]
    leaves: bool = False
    cost: Callable[[Any], tuple[int, int]] = field(default=lambda model: (0, 0))  # bytes up and down

    def answer(self, prompt: Prompt, sampling: Sampling, used: Used) -> Iterator[Piece]:
        model = self.opened()
        vocabulary = getattr(model, "vocabulary", None)
        if vocabulary is not None:
            used.prompt_tokens = len(vocabulary.encode(prompt.whole))
        start = time.perf_counter()
        try:
            for piece in respond_by(model, prompt, sampling):
                # One for each token, and perhaps one for the rest of a character that was cut.
                used.completion_tokens = min(used.completion_tokens + 1, sampling.max_tokens)
                yield piece
        finally:
            used.seconds = time.perf_counter() - start
            used.sent, used.received = self.cost(model)
