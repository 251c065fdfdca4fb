"""Connections that break in the middle of an upload, servers that say nothing, blobs nobody asked for."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import grpc
import numpy as np
import pytest
from flwr.app import Message

from renga.protocol import link_pb2 as wire
from renga.protocol.blobs import PART, BlobStore
from renga.protocol.flower_internals import acting_as_server
from renga.protocol.link_pb2_grpc import LinkStub
from tests.server.link_world import World, world
from tests.server.test_link import _cut, doubling, message, vector


@pytest.fixture
def here(tmp_path: Path):
    with world(tmp_path) as made, acting_as_server(1):
        yield made


def pulled(here: World, id: str):
    found: list[Message] = []

    def look() -> bool:
        found.extend(here.post.grid.pull_messages([id]))
        return bool(found)

    here.wait_for(look)
    return found[0]


def test_an_upload_that_breaks_off_goes_on_where_it_was(here: World, monkeypatch) -> None:
    written: list[int] = []
    append = BlobStore.append

    def counting(self: BlobStore, digest: str, part: bytes, at: int, size: int) -> int:
        if self is here.post._blobs:
            written.append(at)
            if len(written) == 5:
                here.loop.loop.create_task(_cut(here))
        return append(self, digest, part, at, size)

    monkeypatch.setattr(BlobStore, "append", counting)
    calls: list[str] = []
    here.attach(here.link("ada", doubling(calls)))
    x = np.random.default_rng(0).normal(size=20 * PART // 8)
    (id,) = here.post.grid.push_messages([message("ada", x)])
    assert np.array_equal(vector(pulled(here, id)), 2 * x)
    assert calls == ["ada"]  # computed once
    assert written == sorted(set(written))  # no byte was brought twice


def test_a_reply_that_is_not_taken_is_said_so_at_once(here: World, monkeypatch) -> None:
    link = here.link("ada", doubling())
    monkeypatch.setattr("renga.client.link.ATTEMPTS", 1)
    here.post._blobs._room = 10_000
    here.attach(link)
    (id,) = here.post.grid.push_messages([message("ada", np.ones(5_000))])
    reply = pulled(here, id)
    assert reply.has_error() and "not taken" in reply.error.reason


def test_a_fault_of_ours_does_not_leave_a_client_mute(here: World, monkeypatch) -> None:
    link = here.link("ada", doubling())
    here.attach(link)
    with monkeypatch.context() as patch:
        patch.setattr(type(link.work), "answer", lambda *_: 1 / 0)
        (id,) = here.post.grid.push_messages([message("ada", np.ones(1))])
        assert "ZeroDivisionError" in pulled(here, id).error.reason
    (id,) = here.post.grid.push_messages([message("ada", np.ones(1))])
    assert vector(pulled(here, id)).tolist() == [2.0]


def test_a_server_that_says_nothing_is_tried_again(here: World, monkeypatch) -> None:
    monkeypatch.setattr("renga.client.link.WELCOME_SECONDS", 0.05)
    link = here.link("ada", doubling())
    states: list[str] = []
    link.on_state = states.append
    hello = here.post._hello

    async def slow(*arguments):
        await asyncio.sleep(1)
        return await hello(*arguments)

    monkeypatch.setattr(here.post, "_hello", slow)
    future = here.loop.start(link.stay())
    here.wait_for(lambda: len(states) >= 2)
    assert not future.done() and "does not answer" in states[0]
    future.cancel()


def test_nobody_fills_the_disk_with_what_no_reply_names(here: World) -> None:
    credentials, gate = here.enrolled("ada"), threading.Event()
    here.attach(here.link("ada", doubling(gate=gate), credentials))
    here.post.grid.push_messages([message("ada", np.ones(1))])  # one message is waited for

    async def bring(count: int) -> None:
        async with credentials.channel(here.address) as channel:
            for number in range(count):
                put = LinkStub(channel).Put()
                await put.write(wire.PutPart(digest=bytes([number]) * 32, size=2_000))
                await put.read()
                await put.write(wire.PutPart(data=bytes(1_000)))
                await put.done_writing()
                while await put.read() is not grpc.aio.EOF:
                    pass

    here.loop.do(bring(20))
    gate.set()
    partial = list((here.folder / "server" / "blobs").glob("*.part"))
    assert len(partial) == 8 and sum(path.stat().st_size for path in partial) == 8_000


def test_nobody_puts_or_gets_what_was_not_asked_for(here: World) -> None:
    credentials = here.enrolled("ada")

    async def tried() -> list[grpc.StatusCode]:
        async with credentials.channel(here.address) as channel:
            stub = LinkStub(channel)
            put = stub.Put(iter([wire.PutPart(digest=bytes(32), size=10)]))
            get = stub.Get(wire.GetRequest(digest=bytes(32)))
            return [await put.code(), await get.code()]

    assert here.loop.do(tried()) == [grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND]
