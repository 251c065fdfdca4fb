"""What SuperNodes may reach of Flower's SuperLink, and nothing else.

A SuperLink serves nodes, operators and its own processes on one port, and whoever reaches that port can start
code. So it listens on loopback, and this stands before it: only the paths of nodes are passed on, and no body
larger than a node ever sends (Flower reads a body whole before it asks who sent it).
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httpx

log = logging.getLogger("renga.server")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATHS = ("/v1/fleet/",)
HEALTH = "/health"
LARGEST_BODY = 8 << 20  # an array travels in chunks of 5 MiB
AT_ONCE = 64
HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"})


class FleetFront:
    """An ASGI app that passes the paths of nodes on to the SuperLink at `inner` (`https://127.0.0.1:PORT`)."""

    def __init__(self, inner: str, trust: ssl.SSLContext, largest: int = LARGEST_BODY) -> None:
        self._largest = largest
        self._client = httpx.AsyncClient(
            base_url=inner,
            verify=trust,
            timeout=60.0,
            limits=httpx.Limits(max_connections=AT_ONCE),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = str(scope["path"])
        if not (path == HEALTH or path.startswith(PATHS)) or ".." in path:
            await _answer(send, 404)
            return
        body = await self._body(receive)
        if body is None:
            await _answer(send, 413)
            return
        try:
            query = scope.get("query_string", b"").decode("latin-1")
            reply = await self._client.request(
                scope["method"],
                path + (f"?{query}" if query else ""),
                content=body,
                headers=[(k, v) for k, v in scope["headers"] if k != b"host" and k != b"content-length"],
            )
        except httpx.HTTPError as error:
            log.warning("the SuperLink does not answer: %s", type(error).__name__)
            await _answer(send, 503)
            return
        headers = [(k.encode(), v.encode()) for k, v in reply.headers.items() if k.lower() not in HOP]
        await _answer(send, reply.status_code, headers, reply.content)

    async def close(self) -> None:
        await self._client.aclose()

    async def _body(self, receive: Receive) -> bytes | None:
        """The body of a request, or None once it is longer than allowed: the rest is never read."""
        parts: list[bytes] = []
        size = 0
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return None
            part = event.get("body", b"")
            size += len(part)
            if size > self._largest:
                return None
            parts.append(part)
            if not event.get("more_body"):
                return b"".join(parts)


async def _answer(
    send: Send, status: int, headers: list[tuple[bytes, bytes]] | None = None, body: bytes = b""
) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*(headers or []), length]})
    await send({"type": "http.response.body", "body": body})
