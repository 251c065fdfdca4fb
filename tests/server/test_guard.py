"""A fault of the server is one line to the peer, with a code, and nothing of what went wrong inside."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from renga.errors import RefusedPayload, RengaError
from renga.protocol import link_pb2 as wire
from renga.protocol.link_pb2_grpc import LinkStub
from tests.server.link_world import World, world

SECRET = "/home/ana/private/letters.jsonl"


@pytest.fixture
def here(tmp_path: Path):
    with world(tmp_path) as made:
        yield made


def ended(here: World, call: Callable[[Any], Any]) -> tuple[grpc.StatusCode, str]:
    credentials = here.enrolled("ada")

    async def tried() -> tuple[grpc.StatusCode, str]:
        async with credentials.channel(here.address) as channel:
            made = call(LinkStub(channel))
            return await made.code(), await made.details()

    found: tuple[grpc.StatusCode, str] = here.loop.do(tried())
    return found


CALLS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "unary": ("identified", lambda stub: stub.Describe(wire.DescribeRequest())),
    "stream": ("get", lambda stub: stub.Get(wire.GetRequest(digest=bytes(32)))),
    "both streams": ("put", lambda stub: stub.Put(iter([wire.PutPart(digest=bytes(32), size=1)]))),
}


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize("error", [KeyError(SECRET), RengaError(f"can't use {SECRET}")])
def test_a_fault_is_no_bare_unknown(here: World, monkeypatch, caplog, how: str, error: Exception) -> None:
    def failing(*_: Any) -> Any:
        raise error

    name, call = CALLS[how]
    if name == "identified":
        monkeypatch.setattr("renga.server.service.identified", failing)
    else:
        monkeypatch.setattr(here.post, name, failing)
    with caplog.at_level(logging.ERROR, "renga.server"):
        code, said = ended(here, call)
    assert code is grpc.StatusCode.INTERNAL and "its log says why" in said and SECRET not in said
    assert SECRET in caplog.text


def test_what_the_peer_sent_wrongly_is_told(here: World, monkeypatch) -> None:
    def refusing(*_: Any) -> Any:
        raise RefusedPayload("there is no such blob")

    monkeypatch.setattr(here.post, "get", refusing)
    code, said = ended(here, CALLS["stream"][1])
    assert (code, said) == (grpc.StatusCode.INVALID_ARGUMENT, "there is no such blob")
