"""A client with a good certificate that breaks the rules: signed things altered, replayed, misplaced."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Message

from renga.protocol import link_pb2 as wire
from renga.protocol.credentials import Credentials
from renga.protocol.flower_internals import acting_as_server
from renga.protocol.link_pb2_grpc import LinkStub
from renga.protocol.signing import Manifest, signed, verified
from renga.protocol.versions import PROTOCOL
from tests.server.link_world import World, world
from tests.server.test_link import message

BLOB = b"not what was asked for, but brought"
DIGEST = hashlib.sha256(BLOB).digest()

Forge = Callable[[Manifest, Ed25519PrivateKey], tuple[bytes, bytes]]


@pytest.fixture
def here(tmp_path: Path):
    with world(tmp_path) as made, acting_as_server(1):
        yield made


class Hand:
    """A client by hand: no code of ours between it and the wire."""

    def __init__(self, here: World, credentials: Credentials) -> None:
        self.here, self.credentials = here, credentials
        self.sent: tuple[bytes, bytes] = (b"", b"")
        self.heard = asyncio.Event()

    async def answer(self, forge: Forge) -> None:
        """Attach, take one request, bring a blob, and say of it what `forge` makes of the honest manifest."""
        assert self.credentials.signing is not None
        async with self.credentials.channel(self.here.address) as channel:
            stub = LinkStub(channel)
            call = stub.Attach()
            await call.write(wire.ClientFrame(hello=wire.Hello(protocol=PROTOCOL, nonce=bytes(16), base="b")))
            await call.read()
            request = (await call.read()).request
            server = self.here.who.credentials.signing
            assert server is not None
            asked = verified(server.public_key(), request.manifest, request.signature)
            put = stub.Put()
            await put.write(wire.PutPart(digest=DIGEST, size=len(BLOB)))
            if not (await put.read()).complete:
                await put.write(wire.PutPart(data=BLOB))
                await put.done_writing()
                await put.read()
            honest = replace(
                asked, sender=asked.receiver, receiver=asked.sender, digest=DIGEST.hex(), size=len(BLOB)
            )
            self.sent = data, signature = forge(honest, self.credentials.signing)
            reply = wire.FlowerMessage(
                id=request.id, digest=DIGEST, size=len(BLOB), manifest=data, signature=signature
            )
            await call.write(wire.ClientFrame(reply=reply))
            await self.heard.wait()
            call.cancel()


def told(here: World, hand: Hand, forge: Forge) -> str:
    """What the strategy is told of a reply."""

    async def within() -> None:
        async with asyncio.timeout(60):
            await hand.answer(forge)

    answering = here.loop.start(within())
    here.wait_for(lambda: "ada" in here.post.attached())
    (id,) = here.post.grid.push_messages([message("ada", np.ones(2))])
    found: list[Message] = []

    def pulled() -> bool:
        if answering.done():
            answering.result()
        found.extend(here.post.grid.pull_messages([id]))
        return bool(found)

    here.wait_for(pulled)
    here.loop.loop.call_soon_threadsafe(hand.heard.set)
    answering.result(30)
    here.wait_for(lambda: "ada" not in here.post.attached())
    return found[0].error.reason or "" if found[0].has_error() else ""


def honest(manifest: Manifest, key: Ed25519PrivateKey) -> tuple[bytes, bytes]:
    return signed(key, manifest)


def changed(**fields: Any) -> Forge:
    return lambda manifest, key: signed(key, replace(manifest, **fields))


FORGED: dict[str, Forge] = {
    "unsigned": lambda manifest, key: (signed(key, manifest)[0], b""),
    "nothing": lambda manifest, key: (b"", b""),
    "a key of one's own": lambda manifest, key: signed(Ed25519PrivateKey.generate(), manifest),
    "in another's name": changed(sender="bo"),
    "to another federation": changed(receiver="0" * 32),
    "of another round": changed(round=7),
    "for another request": changed(message="other"),
    "of another kind": changed(kind="train.exchange"),
    "of another model": changed(base="c"),
    "from another attachment": changed(session="0" * 32),
    "of other content": changed(digest="0" * 64),
    "of another size": changed(size=1),
}


@pytest.mark.parametrize("how", FORGED)
def test_what_is_not_stood_for_is_refused(here: World, how: str) -> None:
    hand = Hand(here, here.enrolled("ada"))
    assert "refused" in told(here, hand, FORGED[how])


def test_what_was_said_once_is_not_good_again(here: World) -> None:
    hand = Hand(here, here.enrolled("ada"))
    assert "refused" not in told(here, hand, honest)
    first = hand.sent
    hand.heard = asyncio.Event()
    assert "refused" in told(here, hand, lambda manifest, key: first)


def test_another_clients_key_signs_nothing_here(here: World) -> None:
    other = here.enrolled("bo").signing
    assert other is not None
    hand = Hand(here, here.enrolled("ada"))
    assert "refused" in told(here, hand, lambda manifest, key: signed(other, manifest))
