"""Sessions on the host model for peers: opened, fed and rewound over a stream, within limits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc

from renga.errors import RefusedPayload, RengaError
from renga.models.adapter import Adapter
from renga.models.batching import BatchedModel, BatchedSession, Overloaded
from renga.models.contract import Clearance, Full, Prompt, TopK
from renga.models.session_codec import NAMES, packed_answer, read_ids, read_want
from renga.protocol import link_pb2 as wire
from renga.server.access import refuse
from renga.server.host import Host

Context = grpc.aio.ServicerContext[Any, Any]

ANSWER_BYTES = 1_000_000  # of one reply
CLEARANCES = {
    wire.CLEARANCE_PUBLIC: Clearance.PUBLIC,
    wire.CLEARANCE_SANITISED: Clearance.SANITISED,
}


@dataclass(frozen=True)
class SessionLimits:
    """What one peer may ask for at once."""

    prompt_bytes: int = 16_384
    sessions: int = 4
    ids_per_feed: int = 512
    top_k: int = 256
    idle_seconds: int = 120


class HostSessions:
    """Sessions on what the host has learned so far: an adapter that was adopted serves those opened after it,
    and the sessions of the one before are closed, since what they have read was read by another model."""

    def __init__(self, host: Host, limits: SessionLimits = SessionLimits()) -> None:
        self._host = host
        self._limits = limits
        self._now: tuple[Adapter | None, BatchedModel, Sessions] | None = None

    def __call__(self) -> Sessions:
        if self._now is None or self._now[0] is not self._host.adapter:
            if self._now is not None:
                # Its last step may wait for the host to finish learning; callers need not.
                threading.Thread(target=self._now[1].close, daemon=True).start()
            adapter = self._host.adapter
            model = BatchedModel(self._host.weights, adapter, lock=self._host.turn)
            self._now = adapter, model, Sessions(model, self._limits)
        return self._now[2]


class Sessions:
    """Serves sessions on `model` under the name `name`."""

    def __init__(
        self, model: BatchedModel, limits: SessionLimits = SessionLimits(), name: str = "host"
    ) -> None:
        self._model = model
        self._limits = limits
        self._name = name
        self._taken: Counter[str] = Counter()

    def limits(self) -> wire.Limits:
        """As Describe tells them."""
        limits = self._limits
        return wire.Limits(
            prompt_bytes=limits.prompt_bytes,
            sessions=limits.sessions,
            ids_per_feed=limits.ids_per_feed,
            ids_per_session=self._model.tokens,
            top_k=limits.top_k,
            idle_seconds=limits.idle_seconds,
        )

    async def session(
        self, peer: str, moves: AsyncIterator[wire.SessionRequest], context: Context
    ) -> AsyncIterator[wire.SessionReply]:
        """One session of `peer`, until it goes, or says nothing for too long."""
        if self._taken[peer] >= self._limits.sessions:
            await refuse(
                context, grpc.StatusCode.RESOURCE_EXHAUSTED, "too many sessions at once; retry in 2 s"
            )
        self._taken[peer] += 1
        session: BatchedSession | None = None
        try:
            async for move in self._moves(moves):
                kind = move.WhichOneof("move")
                if session is None:
                    session, reply = await asyncio.to_thread(self._open, move)
                elif kind == "feed":
                    reply = await asyncio.to_thread(self._feed, session, move.feed)
                elif kind == "rewind":
                    if move.rewind.length <= session.length:
                        session.rewind(move.rewind.length)
                    reply = wire.SessionReply(length=wire.Length(length=session.length))
                else:
                    raise RefusedPayload("a session opens once, with its first move")
                yield reply
        except Overloaded as error:
            why = f"{error.message}; retry in {error.retry_after:.0f} s"
            await refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, why)
        except TimeoutError:
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "the session was idle for too long")
        except RengaError as error:
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error.message)
        finally:
            self._taken[peer] -= 1
            if session is not None:
                session.close()

    async def _moves(self, moves: AsyncIterator[wire.SessionRequest]) -> AsyncIterator[wire.SessionRequest]:
        upcoming = aiter(moves)
        while True:
            try:
                yield await asyncio.wait_for(anext(upcoming), self._limits.idle_seconds)
            except StopAsyncIteration:
                return

    def _open(self, move: wire.SessionRequest) -> tuple[BatchedSession, wire.SessionReply]:
        asked = move.open
        if move.WhichOneof("move") != "open":
            raise RefusedPayload("the first move of a session opens it")
        if asked.model != self._name:
            raise RefusedPayload(f"there is no model of that name here; there is {self._name}")
        if asked.clearance not in CLEARANCES:
            raise RefusedPayload("a prompt without clearance is not read")
        if len(asked.prompt.encode()) > self._limits.prompt_bytes:
            raise RefusedPayload(f"a prompt may have {self._limits.prompt_bytes} bytes")
        mine = self._model.vocabulary.fingerprint
        if asked.vocabulary and asked.vocabulary != mine:
            raise RefusedPayload("the model has another vocabulary than the caller counts with")
        session = self._model.open(Prompt(asked.prompt, CLEARANCES[asked.clearance]))
        opened = wire.Opened(vocabulary=mine, wants=sorted(NAMES))
        return session, wire.SessionReply(opened=opened)

    def _feed(self, session: BatchedSession, feed: wire.Feed) -> wire.SessionReply:
        if feed.base != session.length:
            return wire.SessionReply(length=wire.Length(length=session.length))
        size = self._model.vocabulary.size
        ids = read_ids(feed.ids, size, self._limits.ids_per_feed)
        want = read_want(feed.want, size)
        if isinstance(want, TopK) and want.k > self._limits.top_k:
            raise RefusedPayload(f"top-k goes up to {self._limits.top_k} here")
        row = 4 * size if isinstance(want, Full) else 8 * want.k + 4 if isinstance(want, TopK) else 4
        if row * (len(ids) + 1) > ANSWER_BYTES:
            raise RefusedPayload("the rows asked for are more than one reply holds; feed less at once")
        began = time.monotonic()
        fed = packed_answer(session.feed(ids, want), want, session.length)
        fed.seconds = time.monotonic() - began
        return wire.SessionReply(fed=fed)
