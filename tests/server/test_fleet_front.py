"""The front before a SuperLink: what passes, what doesn't, and how long a node's question is held."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import httpx
import pytest

from renga.protocol.flower_programs import RELEASE_HEADER
from renga.server.fleet_front import PULL, SETTLE, FleetFront

Inner = Callable[[httpx.Request], httpx.Response]


def front(inner: Inner, largest: int = 100) -> FleetFront:
    made = FleetFront("https://inner", ssl.create_default_context(), largest)
    made._client = httpx.AsyncClient(transport=httpx.MockTransport(inner), base_url="https://inner")
    return made


def asked(made: FleetFront) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="https://front")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/fleet/x", 200), ("/health", 200), ("/v1/control/start-run", 404), ("/v1/runtime/x", 404),
     ("/docs", 404), ("/", 404), ("/v1/fleet/../control/start-run", 404), ("/v1/fleet/%2e%2e/control", 404)],
)  # fmt: skip
def test_only_the_paths_of_nodes_pass(path: str, status: int) -> None:
    async def run() -> int:
        return (await asked(front(lambda request: httpx.Response(200))).post(path)).status_code

    assert asyncio.run(run()) == status


def test_a_large_body_is_refused_and_headers_pass() -> None:
    seen: list[httpx.Request] = []

    def inner(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=b"back", headers={"x-of-flower": "1"})

    async def run() -> tuple[httpx.Response, httpx.Response]:
        client = asked(front(inner))
        small = await client.post("/v1/fleet/push-object?a=b", content=b"x" * 100, headers={"sig": "s"})
        return small, await client.post("/v1/fleet/push-object", content=b"x" * 101)

    small, large = asyncio.run(run())
    assert (small.status_code, small.content, small.headers["x-of-flower"]) == (200, b"back", "1")
    assert large.status_code == 413 and len(seen) == 1
    assert seen[0].headers["sig"] == "s" and seen[0].url.query == b"a=b"


def test_who_asks_how_it_is_hears_which_flower_it_is() -> None:
    async def run() -> httpx.Response:
        return await asked(front(lambda request: httpx.Response(200))).get("/health")

    assert asyncio.run(run()).headers[RELEASE_HEADER] == version("flwr")


def test_a_question_is_held_until_there_is_news() -> None:
    replies = iter([b"", b"a message"])

    async def run() -> tuple[bytes, float]:
        made = front(lambda request: httpx.Response(200, content=next(replies)))
        asking = asyncio.create_task(asked(made).post(PULL))
        await asyncio.sleep(0.1)
        assert not asking.done()
        began = time.monotonic()
        made.news()
        return (await asking).content, time.monotonic() - began

    content, seconds = asyncio.run(run())
    assert content == b"a message" and seconds < 1.0


def test_a_node_that_has_gone_is_given_nothing() -> None:
    pulls = []

    def inner(request: httpx.Request) -> httpx.Response:
        pulls.append(request)
        return httpx.Response(200)

    async def run() -> list[dict[str, Any]]:
        made, sent = front(inner), []
        events = asyncio.Queue[dict[str, Any]]()
        events.put_nowait({"type": "http.request", "body": b""})

        async def send(event: Any) -> None:
            sent.append(event)

        scope = {"type": "http", "method": "POST", "path": PULL, "headers": []}
        asking = asyncio.create_task(made(scope, events.get, send))
        await asyncio.sleep(0.05)
        events.put_nowait({"type": "http.disconnect"})
        async with asyncio.timeout(1.0):
            await asking
        made.news()
        await asyncio.sleep(0.05)
        return sent

    assert asyncio.run(run()) == [] and len(pulls) == 1


def test_a_superlink_that_is_away_is_tried_again_by_its_nodes() -> None:
    def inner(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away")

    async def run() -> int:
        return (await asked(front(inner)).post("/v1/fleet/activate-node")).status_code

    assert asyncio.run(run()) == 503  # what Flower's SuperNode takes for "later"


def test_the_parts_of_a_reply_are_told_together() -> None:
    told: list[float] = []

    async def run() -> None:
        made = front(lambda request: httpx.Response(200))
        made.on_reply = lambda: told.append(time.monotonic())
        client = asked(made)
        for path in ("push-messages", "push-object", "push-object", "pull-object"):
            await client.post(f"/v1/fleet/{path}")
        assert not told
        await asyncio.sleep(2 * SETTLE)

    asyncio.run(run())
    assert len(told) == 1
