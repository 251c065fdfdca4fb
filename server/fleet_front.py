"""What SuperNodes may reach of Flower's SuperLink, and nothing else.

A SuperLink serves nodes, operators and its own processes on one port, and whoever reaches that port can start
code. So it listens on loopback, and this stands before it: only the paths of nodes are passed on, and no body
larger than a node ever sends (Flower reads a body whole before it asks who sent it).

A SuperNode that finds nothing to do sleeps for three seconds before it asks again. Here its question is held
until there is something (`news`): a message is under way at once, and an idle node asks four times a minute.
What nodes bring passes here too, so nobody on our side need ask the SuperLink every moment whether a reply
has come (`on_reply`).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.metadata import version
from typing import Any

import httpx

from renga.protocol.flower_programs import RELEASE_HEADER

log = logging.getLogger("renga.server")

FLOWER = version("flwr")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATHS = ("/v1/fleet/",)
HEALTH = "/health"
PULL = "/v1/fleet/pull-messages"
BRING = ("/v1/fleet/push-", "/v1/fleet/activate-", "/v1/fleet/deactivate-")
HELD = 15.0  # seconds that a node is kept waiting for a message; it would wait for 30
LOOK = 3.0  # seconds between two looks in that time, should nobody have said that there is news
LARGEST_BODY = 8 << 20  # an array travels in chunks of 5 MiB
SETTLE = 0.1  # seconds from a part of a reply until somebody is told: parts come one upon another
AT_ONCE = 64
RELEASE = RELEASE_HEADER.encode()
HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"})


class FleetFront:
    """An ASGI app that passes the paths of nodes on to the SuperLink at `inner` (`https://127.0.0.1:PORT`)."""

    def __init__(self, inner: str, trust: ssl.SSLContext, largest: int = LARGEST_BODY) -> None:
        self.on_reply: Callable[[], None] = _nothing  # part of a reply has come, or a node; or one has gone
        self.traffic = [0, 0]  # bytes of bodies to and from nodes
        self._over = False
        self._settling = False
        self._largest = largest
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client = httpx.AsyncClient(
            base_url=inner,
            verify=trust,
            timeout=60.0,
            limits=httpx.Limits(max_connections=AT_ONCE),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self._loop = asyncio.get_running_loop()
        path = str(scope["path"])
        if not (path == HEALTH or path.startswith(PATHS)) or ".." in path:
            await _answer(send, 404)
            return
        body = await self._body(receive)
        if body is None:
            await _answer(send, 413)
            return
        query = scope.get("query_string", b"").decode("latin-1")
        headers = [(k, v) for k, v in scope["headers"] if k != b"host" and k != b"content-length"]
        request = self._client.build_request(
            scope["method"], path + (f"?{query}" if query else ""), content=body, headers=headers
        )
        try:
            reply = await (self._held(request, receive) if path == PULL else self._client.send(request))
        except httpx.HTTPError as error:
            log.warning("the SuperLink does not answer: %s", type(error).__name__)
            await _answer(send, 503)
            return
        if reply is None:
            return  # the node has gone
        kept = [(k.encode(), v.encode()) for k, v in reply.headers.items() if k.lower() not in HOP]
        if path == HEALTH:
            kept.append((RELEASE, FLOWER.encode()))
        self.traffic[0] += len(reply.content)
        self.traffic[1] += len(body)
        await _answer(send, reply.status_code, kept, reply.content)
        if path.startswith(BRING) and not self._settling:
            self._settling = True
            self._loop.call_later(SETTLE, self._tell)

    def _tell(self) -> None:
        self._settling = False
        self.on_reply()

    def news(self) -> None:
        """There are new messages for nodes. May be called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _held(self, request: httpx.Request, receive: Receive) -> httpx.Response | None:
        """The reply once it brings something, or the time is over; None if the node goes meanwhile: what is
        given to nobody would be lost."""
        loop = asyncio.get_running_loop()
        end = loop.time() + HELD
        gone = asyncio.ensure_future(receive())
        news = asyncio.ensure_future(self._news.wait())
        try:
            while True:
                reply = await self._client.send(request)
                if reply.status_code != 200 or reply.content or self._over or loop.time() >= end:
                    return reply
                await asyncio.wait(
                    [gone, news], timeout=min(LOOK, end - loop.time()), return_when=asyncio.FIRST_COMPLETED
                )
                if gone.done():
                    return None
                if news.done():
                    news = asyncio.ensure_future(self._news.wait())
        finally:
            gone.cancel()
            news.cancel()

    def stop(self) -> None:
        """Hold no question any longer. May be called from any thread."""
        self._over = True
        self.news()

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


def _nothing() -> None:
    pass
