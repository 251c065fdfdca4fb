"""What no part of the service foresaw ends a call in one line, never in a bare UNKNOWN.

gRPC answers an exception of a servicer with UNKNOWN and the exception's own text, which may hold a path or a
prompt. Here the peer is told what was wrong with what it sent; of anything else it learns that it happened,
and the server's log why.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc

from renga.errors import RefusedPayload, RengaError
from renga.protocol.failure import one_line
from renga.server.access import identified
from renga.server.registry import Registry

log = logging.getLogger("renga.server")

Context = grpc.aio.ServicerContext[Any, Any]
OURS = "/renga.link."
# Ended on purpose, or the peer is gone: gRPC knows what to do.
ENDED = (grpc.aio.AbortError, grpc.aio.InternalError, grpc.aio.UsageError, grpc.RpcError)

Handler = Any  # grpc.RpcMethodHandler, which is generic to type checkers only


class Guard(grpc.aio.ServerInterceptor):
    """Around every call of every service on the port.

    Our services ask who is calling by themselves; before the others (health, reflection) it is asked here.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(handler_call_details)
        if handler is None:  # there is no such method
            return handler
        kinds = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
        kind = next(kind for kind in kinds if getattr(handler, kind))
        wrap = _stream if handler.response_streaming else _unary
        method = handler_call_details.method
        asks = None if method.startswith(OURS) else self._registry
        guarded = wrap(getattr(handler, kind), method, asks)
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        made: Handler = make(guarded, handler.request_deserializer, handler.response_serializer)
        return made


def _unary(
    serve: Callable[[Any, Context], Awaitable[Any]], method: str, asks: Registry | None
) -> Callable[..., Awaitable[Any]]:
    async def guarded(asked: Any, context: Context) -> Any:
        try:
            if asks is not None:
                await identified(context, asks)
            return await serve(asked, context)
        except Exception as error:  # noqa: BLE001 - the edge of the server
            await _end(error, method, context)

    return guarded


def _stream(
    serve: Callable[[Any, Context], Any], method: str, asks: Registry | None
) -> Callable[..., AsyncIterator[Any]]:
    async def guarded(asked: Any, context: Context) -> AsyncIterator[Any]:
        try:
            if asks is not None:
                await identified(context, asks)
            async with aclosing(serve(asked, context)) as replies:
                async for reply in replies:
                    yield reply
        except Exception as error:  # noqa: BLE001 - the edge of the server
            await _end(error, method, context)

    return guarded


async def _end(error: Exception, method: str, context: Context) -> None:
    if isinstance(error, ENDED):
        raise error
    if isinstance(error, RefusedPayload):
        code, said = grpc.StatusCode.INVALID_ARGUMENT, one_line(error.message)
    else:
        log.error("%s failed: %s", method, error, exc_info=None if isinstance(error, RengaError) else error)
        code, said = grpc.StatusCode.INTERNAL, "the server failed at this; its log says why"
    await context.abort(code, said)
