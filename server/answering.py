"""Answers for clients: text in, pieces out, on the host model with what it has learned so far.

One thread at a time uses the host's weights (`Host.turn`): while it learns, a caller is told when to come
back instead of being kept waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from renga.models.contract import Clearance, Piece, Prompt, Sampling
from renga.models.generate import respond
from renga.protocol import link_pb2 as wire
from renga.server.access import refuse
from renga.server.host import Host

Context = grpc.aio.ServicerContext[Any, Any]

CLEARED = {
    wire.CLEARANCE_PUBLIC: Clearance.PUBLIC,
    wire.CLEARANCE_SANITISED: Clearance.SANITISED,
}
PLAN = "host"
RETRY = 20  # seconds, when the host is learning


@dataclass(frozen=True)
class AnswerLimits:
    """What one peer may ask for at once."""

    prompt_bytes: int = 32 << 10
    answer_tokens: int = 1024
    at_once: int = 1
    patience: float = 3.0  # seconds to wait for a turn on the host


class Answering:
    """Answers on one host model."""

    def __init__(self, host: Host, limits: AnswerLimits = AnswerLimits()) -> None:
        self._host = host
        self._limits = limits
        self._busy: dict[str, int] = {}

    def described(self) -> wire.Limits:
        """The limits, as peers are told them."""
        return wire.Limits(prompt_bytes=self._limits.prompt_bytes, answer_tokens=self._limits.answer_tokens)

    async def respond(
        self, name: str, request: wire.RespondRequest, context: Context
    ) -> AsyncIterator[wire.RespondReply]:
        """Stream an answer; what it used comes last. Generation stops when the caller goes."""
        clearance = CLEARED.get(request.clearance)
        if clearance is None:
            await refuse(
                context, grpc.StatusCode.INVALID_ARGUMENT, "the prompt does not say that it is cleared"
            )
        if request.plan not in ("", PLAN):
            await refuse(context, grpc.StatusCode.NOT_FOUND, f"no plan of that name; known: {PLAN}")
        if not 0 < len(request.prompt.encode()) <= self._limits.prompt_bytes:
            most = f"a prompt has 1 to {self._limits.prompt_bytes} bytes"
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, most)
        if self._busy.get(name, 0) >= self._limits.at_once:
            await refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "one answer at a time; retry in 5 s")
        self._busy[name] = self._busy.get(name, 0) + 1
        try:
            if not await asyncio.to_thread(self._host.turn.acquire, True, self._limits.patience):
                said = f"the host is busy learning; retry in {RETRY} s"
                await refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, said)
            self._host.turn.release()
            sampling = self._sampling(request.sampling)
            answer = _Answer(self._host, Prompt(request.prompt, clearance), sampling)
            async for piece in answer.pieces():
                yield wire.RespondReply(text=piece.text)
            yield wire.RespondReply(usage=answer.usage())
        finally:
            self._busy[name] -= 1

    def _sampling(self, asked: wire.Sampling) -> Sampling:
        most = self._limits.answer_tokens
        return Sampling(
            temperature=max(0.0, asked.temperature),
            top_p=asked.top_p if 0 < asked.top_p <= 1 else 1.0,
            top_k=asked.top_k,
            max_tokens=min(asked.max_tokens or most, most),
            seed=int(asked.seed) % 2**63,
        )


class _Answer:
    """One answer, made in a thread a piece at a time, so that the loop stays free and a caller can go."""

    def __init__(self, host: Host, prompt: Prompt, sampling: Sampling) -> None:
        self._host = host
        self._model = host.model
        self._pieces: Iterator[Piece] = respond(self._model, prompt, sampling)
        meter = self._model.meter
        self._before = (meter.passes, meter.tokens, meter.seconds)

    async def pieces(self) -> AsyncIterator[Piece]:
        while (piece := await asyncio.to_thread(self._next)) is not None:
            yield piece

    def usage(self) -> wire.Usage:
        meter = self._model.meter
        passes, tokens, seconds = self._before
        return wire.Usage(
            passes=meter.passes - passes,
            tokens_read=meter.tokens - tokens,
            tokens_written=meter.passes - passes,
            seconds=meter.seconds - seconds,
            plan=PLAN,
        )

    def _next(self) -> Piece | None:
        with self._host.turn:  # a session wears its own adapter anew at every pass
            return next(self._pieces, None)
