"""A session's stream on a gRPC connection, for callers that know no event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import grpc

from renga.errors import RengaError
from renga.protocol import link_pb2 as wire
from renga.protocol.failure import one_line
from renga.protocol.link_pb2_grpc import LinkStub

LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)

T = TypeVar("T")


class SessionStream:
    """One call of `Session`: each frame is answered by one. `lost`: what to raise when the call is gone."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        channel: grpc.aio.Channel,
        lost: Callable[[str], Exception],
        patience: float = 60.0,
    ) -> None:
        self._loop = loop
        self._lost = lost
        self._patience = patience
        self._call: Any = self._do(self._opened(channel))

    def ask(self, request: wire.SessionRequest) -> wire.SessionReply:
        """Send a frame and wait for its answer. Raises RengaError for what the other end refuses."""
        return self._do(self._asked(request))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._call.cancel)

    async def _opened(self, channel: grpc.aio.Channel) -> Any:
        return LinkStub(channel).Session()  # type: ignore[no-untyped-call]

    async def _asked(self, request: wire.SessionRequest) -> wire.SessionReply:
        try:
            await self._call.write(request)
        except asyncio.InvalidStateError:  # the call ended before; it says how
            pass
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.INTERNAL:  # it ended meanwhile, and gRPC has forgotten how
                raise self._lost("ended while it was written to") from None
            raise
        try:
            reply = await self._call.read()
        except asyncio.InvalidStateError:
            reply = grpc.aio.EOF
        if reply is grpc.aio.EOF:
            code = await self._call.code()
            if code in (*LOST, grpc.StatusCode.OK):
                raise self._lost(code.name)
            raise RengaError(f"the server refused: {one_line(str(await self._call.details()))}")
        assert isinstance(reply, wire.SessionReply)
        return reply

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        async def within() -> T:
            async with asyncio.timeout(self._patience):
                return await work

        try:
            return asyncio.run_coroutine_threadsafe(within(), self._loop).result()
        except TimeoutError:
            raise self._lost("no answer in time") from None
        except asyncio.CancelledError:
            raise self._lost("cancelled") from None
        except grpc.aio.AioRpcError as error:
            if error.code() in LOST:
                raise self._lost(error.code().name) from None
            raise RengaError(f"the server refused: {one_line(error.details() or '')}") from None
