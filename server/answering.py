"""Answers for clients: text in, pieces out, under a plan that the server runs.

The plan `host` is the host with what it has learned so far. Answers are sessions among others, read in the
same forward; while the host learns, a caller is told when to come back instead of being kept waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc

from renga.errors import RefusedPayload
from renga.models.batching import Overloaded
from renga.models.contract import Clearance, LanguageModel, Piece, Prompt, Sampling
from renga.models.generate import respond
from renga.models.metered import Metered
from renga.models.session_codec import read_sampling
from renga.protocol import link_pb2 as wire
from renga.server.access import exhausted, refuse

Context = grpc.aio.ServicerContext[Any, Any]

CLEARED = {
    wire.CLEARANCE_PUBLIC: Clearance.PUBLIC,
    wire.CLEARANCE_SANITISED: Clearance.SANITISED,
}
HOST = "host"  # the plan that every server has


@dataclass(frozen=True)
class AnswerLimits:
    """What one peer may ask for at once."""

    prompt_bytes: int = 16 << 10
    answer_tokens: int = 1024
    at_once: int = 1


class Answering:
    """Answers by `plans`: for each name, what gives the model as it is now."""

    def __init__(
        self, plans: Mapping[str, Callable[[], LanguageModel]], limits: AnswerLimits = AnswerLimits()
    ) -> None:
        self.plans = plans
        self.limits = limits
        self._busy: dict[str, int] = {}

    async def respond(
        self, name: str, request: wire.RespondRequest, context: Context
    ) -> AsyncGenerator[wire.RespondReply, None]:
        """Stream an answer; what it used comes last. Generation stops when the caller goes."""
        clearance = CLEARED.get(request.clearance)
        if clearance is None:
            await refuse(
                context, grpc.StatusCode.INVALID_ARGUMENT, "the prompt does not say that it is cleared"
            )
        plan = request.plan or HOST
        if plan not in self.plans:
            known = f"no plan of that name; known: {', '.join(sorted(self.plans))}"
            await refuse(context, grpc.StatusCode.NOT_FOUND, known)
        if not 0 < len(request.prompt.encode()) <= self.limits.prompt_bytes:
            most = f"a prompt has 1 to {self.limits.prompt_bytes} bytes"
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, most)
        try:
            sampling = self._sampling(request.sampling)
        except RefusedPayload as error:
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error.message)
        if self._busy.get(name, 0) >= self.limits.at_once:
            await exhausted(context, f"{self.limits.at_once} answers at a time", 5.0)
        self._busy[name] = self._busy.get(name, 0) + 1
        try:
            model = Metered(await asyncio.to_thread(self.plans[plan]))
            async with aclosing(_pieces(respond(model, Prompt(request.prompt, clearance), sampling))) as said:
                async for piece in said:
                    yield wire.RespondReply(text=piece.text)
            yield wire.RespondReply(usage=_usage(model, plan))
        except Overloaded as error:
            await exhausted(context, error.message, error.retry_after)
        finally:
            self._busy[name] -= 1

    def _sampling(self, asked: wire.Sampling) -> Sampling:
        most = self.limits.answer_tokens
        if not asked.top_p:  # left out: nothing is cut
            asked.top_p = 1.0
        asked.max_tokens = min(asked.max_tokens or most, most)
        return read_sampling(asked)


async def _pieces(answer: Iterator[Piece]) -> AsyncGenerator[Piece, None]:
    """Pieces made in a thread, one at a time, so that the loop stays free and a caller can go."""
    making: asyncio.Future[Piece | None] | None = None
    try:
        while True:
            making = asyncio.ensure_future(asyncio.to_thread(next, answer, None))
            if (piece := await asyncio.shield(making)) is None:
                return
            yield piece
    finally:
        if making is not None and not making.done():  # the caller went while a token was read: one, no more
            await asyncio.wait([making])
        close = getattr(answer, "close", None)
        if close is not None:
            close()  # gives the session's place back


def _usage(model: Metered, plan: str) -> wire.Usage:
    meter = model.meter
    return wire.Usage(
        passes=meter.passes,
        tokens_read=meter.tokens,
        tokens_written=model.emitted,
        seconds=meter.seconds,
        plan=plan,
    )
