"""Answers for clients: text in, pieces out, under a plan that the server runs.

The plan `host` is the host with what it has learned so far; others are made of it and of the models that
clients lend (see `server/plans.py`). Answers are sessions among others, read in the same forward; while the
host learns, a caller is told when to come back instead of being kept waiting.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import grpc

from renga.errors import RefusedPayload, RengaError, UsageError
from renga.models.batching import Overloaded
from renga.models.context import SHORTER
from renga.models.contract import Clearance, Piece, Prompt, Said, Sampling
from renga.models.session_codec import read_sampling
from renga.protocol import link_pb2 as wire
from renga.protocol.failure import one_line
from renga.protocol.prompts import heard
from renga.server.access import exhausted, refuse
from renga.server.plans import HOST, CallerGone, Made, Plans, unknown

Context = grpc.aio.ServicerContext[Any, Any]

MOMENT = 3.0  # seconds that a caller waits for an earlier answer of its own to end
CLEARED = {
    wire.CLEARANCE_PUBLIC: Clearance.PUBLIC,
    wire.CLEARANCE_SANITISED: Clearance.SANITISED,
}


@dataclass(frozen=True)
class AnswerLimits:
    """What one peer may ask for at once."""

    prompt_bytes: int = 16 << 10
    answer_tokens: int = 1024
    at_once: int = 1


class Answering:
    """Answers by `plans`."""

    def __init__(self, plans: Plans, limits: AnswerLimits = AnswerLimits()) -> None:
        self.plans = plans
        self.limits = limits
        self._busy: dict[str, int] = {}

    async def respond(
        self, name: str, request: wire.RespondRequest, context: Context
    ) -> AsyncGenerator[wire.RespondReply, None]:
        """Stream an answer; what it used, and who was left out, comes last. Generation stops when the caller
        goes."""
        clearance = CLEARED.get(request.clearance)
        if clearance is None:
            await refuse(
                context, grpc.StatusCode.INVALID_ARGUMENT, "the prompt does not say that it is cleared"
            )
        if not request.prompt:
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "the prompt is empty")
        if (size := len(request.prompt.encode())) > self.limits.prompt_bytes:
            most = f"a prompt has at most {self.limits.prompt_bytes:,} bytes, this one {size:,}: {SHORTER}"
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, most)
        try:
            room = self.limits.prompt_bytes - len(request.prompt.encode())
            before = tuple(Said(role, text) for role, text in heard(request.before, room))
            sampling = self._sampling(request.sampling)
        except RefusedPayload as error:
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error.message)
        until = time.monotonic() + MOMENT  # an answer that was broken off ends with the token that is made
        while self._busy.get(name, 0) >= self.limits.at_once:
            if time.monotonic() > until:
                await exhausted(context, f"answers at a time: {self.limits.at_once}", 5.0)
            await asyncio.sleep(0.02)
        self._busy[name] = self._busy.get(name, 0) + 1
        gone = threading.Event()
        try:
            made = await self._made(request.plan or HOST, gone, context)
            answer = made.respond(Prompt(request.prompt, clearance, before), sampling)
            async with aclosing(_pieces(answer, gone)) as said:
                told = False
                async for piece in said:
                    yield wire.RespondReply(text=piece.text)
                    if not told:  # for who breaks off at a stop of its own, and never hears the end
                        told = True
                        yield wire.RespondReply(usage=_usage(made))
            yield wire.RespondReply(usage=_usage(made))
        except Overloaded as error:
            await exhausted(context, error.message, error.retry_after)
        except RengaError as error:  # no member is left, say
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, one_line(error.line))
        finally:
            self._busy[name] -= 1

    async def _made(self, plan: str, gone: threading.Event, context: Context) -> Made:
        """The plan, ready to answer, or a refusal."""
        try:
            return await asyncio.to_thread(self.plans.made, plan, gone)
        except KeyError:
            await refuse(context, grpc.StatusCode.NOT_FOUND, unknown(plan, self.plans.names))
        except UsageError as error:
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, one_line(error.line))
        raise AssertionError  # refusing raises

    def _sampling(self, asked: wire.Sampling) -> Sampling:
        most = self.limits.answer_tokens
        if not asked.top_p:  # left out: nothing is cut
            asked.top_p = 1.0
        asked.max_tokens = min(asked.max_tokens or most, most)
        return read_sampling(asked)


async def _pieces(answer: Iterator[Piece], gone: threading.Event) -> AsyncGenerator[Piece, None]:
    """Pieces made in a thread, one at a time, so that the loop stays free and a caller can go: `gone` is then
    set, and a strategy on whole answers reads no further."""
    making: asyncio.Future[Piece | None] | None = None
    try:
        while True:
            making = asyncio.ensure_future(asyncio.to_thread(next, answer, None))
            if (piece := await asyncio.shield(making)) is None:
                return
            yield piece
    finally:
        gone.set()
        if making is not None and not making.done():  # the caller went while a token was read: one, no more
            await asyncio.wait([making])
            making.exception()  # looked at: it tells that the caller has gone
        close = getattr(answer, "close", None)
        if close is not None:
            with suppress(CallerGone):
                close()  # gives the sessions' places back


def _usage(made: Made) -> wire.Usage:
    return wire.Usage(
        passes=made.passes,
        tokens_read=made.read,
        tokens_written=made.written,
        seconds=made.seconds,
        plan=made.text,
        left_out=made.left_out,
    )
