"""The client's model, lent: the server asks on the standing stream, and the client opens a stream for it.

Only if the policy says so. What is said leaves through the outbox like all else; it is noted before it goes,
some kilobytes ahead, since a token at a time would write more about what leaves than leaves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import grpc

from renga.client.outbox import Outbox
from renga.errors import RengaError
from renga.models.contract import LanguageModel
from renga.models.serving_sessions import ServedSession, SessionLimits
from renga.models.session_codec import NAMES
from renga.protocol import link_pb2 as wire
from renga.protocol.failure import one_line
from renga.protocol.link_pb2_grpc import LinkStub

log = logging.getLogger("renga.client")

AHEAD = 64 << 10  # bytes that are noted in the ledger at once


class Lender:
    """Answers sessions on `model`, as it is when they open, under this client's `name`."""

    def __init__(
        self,
        name: str,
        model: Callable[[], LanguageModel],
        outbox: Outbox,
        limits: SessionLimits = SessionLimits(),
    ) -> None:
        self._name = name
        self._model = model
        self._outbox = outbox
        self._limits = limits
        self._sessions: set[asyncio.Task[None]] = set()

    def described(self, reference: str, base: str) -> wire.Model:
        """What the server is told of it."""
        model = self._model()
        return wire.Model(
            name=self._name,
            reference=reference,
            base=base,
            vocabulary=model.vocabulary.fingerprint,
            vocabulary_size=model.vocabulary.size,
            wants=sorted(name for name, want in NAMES.items() if want in model.offers),
        )

    def asked(self, request: wire.LendRequest, stub: LinkStub) -> str:
        """Begin a session that the server asks for; or why not."""
        if not self._outbox.policy.lend:
            return "the client's policy lends no model"
        if request.model != self._name:
            return "the client has no model of that name"
        if len(self._sessions) >= self._limits.sessions:
            return "too many sessions at once"
        task = asyncio.get_running_loop().create_task(
            self._serve(request.lease, stub), name=f"lent by {self._name}"
        )
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)
        return ""

    async def _serve(self, lease: bytes, stub: Any) -> None:
        """One session, until the server ends it or asks nothing for too long."""
        call = stub.Lend()
        served = ServedSession(self._model(), self._limits, self._name)
        noted = 0
        try:
            await call.write(wire.SessionReply(lease=lease))
            while True:
                async with asyncio.timeout(self._limits.idle_seconds):
                    move = await call.read()
                if move is grpc.aio.EOF:
                    return
                try:
                    reply = await asyncio.to_thread(served.answer, move)
                    noted -= reply.ByteSize()
                    if noted < 0:
                        ahead = max(AHEAD, -noted)
                        await asyncio.to_thread(self._outbox.release, "lent", 0, ahead)
                        noted += ahead
                except RengaError as error:
                    await call.write(wire.SessionReply(refused=one_line(error.line)))
                    return
                await call.write(reply)
        except (TimeoutError, grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            log.info("a lent session ended: %s", type(error).__name__)
        finally:
            call.cancel()
            served.close()
