"""Models that clients lend: sessions on them, opened by the server over streams that the client opens.

A client stands behind NAT, so the server asks for a session on the client's standing stream; the client
answers by a stream of its own for that session (`Lend`), which names the lease. To the rest of the server a
lent model is a `RemoteModel` like any other.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import grpc

from renga.errors import RengaError, UsageError
from renga.models.remote import ConnectionLost, RemoteModel
from renga.models.vocabulary import Vocabulary
from renga.protocol import link_pb2 as wire
from renga.protocol.failure import one_line
from renga.server.access import refuse
from renga.server.link import Post

Context = grpc.aio.ServicerContext[Any, Any]

LEASE_SECONDS = 20.0  # for a client to open the stream that it was asked for
REPLY_SECONDS = 60.0  # for it to answer a move
IDLE_SECONDS = 120.0  # for another client to make its next move


@dataclass(eq=False)
class _Lease:
    """A session on the model of `name`: moves go out, each is answered by one reply."""

    name: str
    moves: asyncio.Queue[tuple[wire.SessionRequest, Future[wire.SessionReply]] | None] = field(
        default_factory=asyncio.Queue
    )
    opened: Future[None] = field(default_factory=Future)
    over: bool = False


class Lending:
    """The models that attached clients lend. Runs in the event loop of `post`, but for `model` and what it
    gives, which are for other threads."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._loop = asyncio.get_running_loop()
        self._leases: dict[bytes, _Lease] = {}
        post.on_refusal = self._refused

    def described(self) -> list[wire.Model]:
        """What is lent now, under the names of its lenders."""
        return [model for hello in self._post.hellos().values() for model in hello.models]

    def model(self, name: str, vocabulary: Vocabulary) -> RemoteModel:
        """The model that the client `name` lends. `vocabulary` is the one counted with here.

        Raises UsageError if the client is not here or lends nothing.
        """
        hello = self._post.hellos().get(name)
        if hello is None or not hello.models:
            raise UsageError(f"{name} lends no model now")
        wants = list(hello.models[0].wants)
        return RemoteModel(lambda: _Channel(self, name), name, vocabulary, wants=wants)

    async def serve(
        self, name: str, replies: AsyncIterator[wire.SessionReply], context: Context
    ) -> AsyncGenerator[wire.SessionRequest, None]:
        """The stream of one session that a client answers, from its lease to its end."""
        upcoming = aiter(replies)
        lease: _Lease | None = None
        try:
            async with asyncio.timeout(LEASE_SECONDS):
                first = await anext(upcoming)
            lease = self._leases.pop(first.lease, None)
            if lease is None or lease.name != name or lease.over:
                lease = None
                await refuse(context, grpc.StatusCode.NOT_FOUND, "no session of this lease is asked for")
            lease.opened.set_result(None)
            while (asked := await lease.moves.get()) is not None:
                move, future = asked
                try:
                    yield move
                    async with asyncio.timeout(REPLY_SECONDS):
                        reply = await anext(upcoming)
                except BaseException:
                    if not future.done():  # whoever asked may have stopped waiting
                        future.set_exception(ConnectionLost("the lender is gone"))
                    raise
                if future.done():
                    return
                if reply.WhichOneof("reply") == "refused":
                    future.set_exception(RengaError(f"{name} refused: {one_line(reply.refused)}"))
                    return
                future.set_result(reply)
        except (TimeoutError, StopAsyncIteration):
            await refuse(context, grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time")
        finally:
            if lease is not None:
                _end(lease)

    async def lease(self, name: str) -> _Lease:
        """Ask a client for a session, and wait for its stream. Raises ConnectionLost, RengaError."""
        key, lease = os.urandom(16), _Lease(name)
        self._leases[key] = lease
        frame = wire.ServerFrame(lend=wire.LendRequest(lease=key, model=name, deadline=LEASE_SECONDS))
        try:
            if not self._post.tell(name, frame):
                raise ConnectionLost(f"{name} is gone")
            async with asyncio.timeout(LEASE_SECONDS):
                await asyncio.wrap_future(lease.opened)
        except TimeoutError:
            raise ConnectionLost(f"{name} opens no session") from None
        finally:
            self._leases.pop(key, None)
        return lease

    def lends(self, name: str) -> bool:
        """Whether a client of that name is here and lends a model."""
        hello = self._post.hellos().get(name)
        return hello is not None and bool(hello.models)

    async def passed_on(
        self, moves: AsyncIterator[wire.SessionRequest], name: str, context: Context
    ) -> AsyncGenerator[wire.SessionReply, None]:
        """A session that another client asks for: its frames go to the lender `name`, and the replies
        back."""
        upcoming = aiter(moves)
        lease: _Lease | None = None
        try:
            lease = await self.lease(name)
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    move = await anext(upcoming)
                future: Future[wire.SessionReply] = Future()
                _put(lease, move, future)
                async with asyncio.timeout(REPLY_SECONDS):
                    reply = await asyncio.wrap_future(future)
                yield reply
        except StopAsyncIteration:
            return
        except TimeoutError:
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, f"the session with {name} stood still")
        except ConnectionLost as lost:
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, f"{name}: {lost}")
        except RengaError as error:
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error.message)
        finally:
            if lease is not None:
                _end(lease)

    def _refused(self, name: str, id: str, reason: str) -> None:
        for key, lease in list(self._leases.items()):
            if key.hex() == id and lease.name == name and not lease.opened.done():
                lease.opened.set_exception(RengaError(f"{name} lends no session: {reason}"))


class _Channel:
    """One session's frames, for a `RemoteModel` in another thread than the loop's."""

    def __init__(self, lending: Lending, name: str) -> None:
        self._loop = lending._loop
        self._lease: _Lease = asyncio.run_coroutine_threadsafe(lending.lease(name), self._loop).result()

    def ask(self, request: wire.SessionRequest) -> wire.SessionReply:
        future: Future[wire.SessionReply] = Future()
        self._loop.call_soon_threadsafe(_put, self._lease, request, future)
        return future.result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(_end, self._lease)


def _put(lease: _Lease, move: wire.SessionRequest, future: Future[wire.SessionReply]) -> None:
    if lease.over:
        future.set_exception(ConnectionLost("the session is over"))
    else:
        lease.moves.put_nowait((move, future))


def _end(lease: _Lease) -> None:
    """Nothing more is asked, and what was asked and not sent is not answered."""
    if lease.over:
        return
    lease.over = True
    while not lease.moves.empty():
        asked = lease.moves.get_nowait()
        if asked is not None:
            asked[1].set_exception(ConnectionLost("the session is over"))
    lease.moves.put_nowait(None)
