"""A client opens sessions on the host over the link, and a round that is adopted serves those that follow."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
import torch

from renga.errors import RengaError
from renga.models.contract import Clearance, Prompt, TopK
from renga.models.local import LocalModel
from renga.models.remote import ConnectionLost, RemoteModel
from renga.protocol.session_stream import SessionStream
from renga.server.host import Host
from renga.server.sessions import HostSessions
from tests.models.tiny_weights import random_adapter, some_ids, tiny
from tests.server.link_world import world

PUBLIC = Prompt("Who counts?", Clearance.PUBLIC)


def test_what_the_host_has_learned_is_what_answers(tmp_path: Path) -> None:
    weights = tiny("llama")
    host = cast(Host, SimpleNamespace(weights=weights, adapter=None, turn=threading.Lock()))
    with world(tmp_path, HostSessions(host)) as here:
        credentials = here.enrolled("ada")

        async def connect() -> grpc.aio.Channel:
            return credentials.channel(here.address)

        channel = here.loop.do(connect())
        remote = RemoteModel(
            lambda: SessionStream(here.loop.loop, channel, ConnectionLost), "host", weights.vocabulary
        )
        ids = some_ids(weights, 5)
        first = remote.open(PUBLIC)
        assert same(first.feed(ids, TopK(4)), LocalModel(weights).open(PUBLIC).feed(ids, TopK(4)))
        learned = random_adapter(weights)
        host.adapter = learned
        second = remote.open(PUBLIC)
        assert same(second.feed(ids, TopK(4)), LocalModel(weights, learned).open(PUBLIC).feed(ids, TopK(4)))
        with pytest.raises(RengaError):
            remote.open(Prompt("Who counts?"))  # raw
        here.who.registry.revoke("ada")
        with pytest.raises((RengaError, ConnectionLost)):
            remote.open(PUBLIC).feed(ids, TopK(4))
        here.loop.do(channel.close())


def same(one: Any, other: Any) -> bool:
    close = torch.allclose(one.logp, other.logp, atol=1e-4)
    return close and bool((one.ids == other.ids).all())
