"""The client's side of the standing stream: it stays attached, fetches requests, brings replies.

Every connection is opened from here. When the server is away the client tries again, after a random part of
a growing time; a request that comes twice is worked on once, and its reply sent again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from renga.client.enrolment import refused
from renga.client.lending import Lender
from renga.client.outbox import Outbox
from renga.client.witness import Witness
from renga.client.work import Work
from renga.errors import RefusedPayload, RengaError, UsageError
from renga.protocol import link_pb2 as wire
from renga.protocol.blobs import BlobStore
from renga.protocol.credentials import Credentials
from renga.protocol.failure import one_line
from renga.protocol.link_pb2_grpc import LinkStub
from renga.protocol.signing import WELCOME, Manifest, check, signed, verified
from renga.protocol.versions import PROTOCOL, software, speaks

log = logging.getLogger("renga.client")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds between two attempts
WELCOME_SECONDS = 20.0
REMEMBERED = 8  # replies kept, should the server ask again
ATTEMPTS = 8  # to fetch or bring one blob, within one attachment

# Answers of a server that trying again won't change.
FINAL = frozenset(
    {
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.FAILED_PRECONDITION,  # another version of the protocol
    }
)


@dataclass
class Link:
    """One client's connection to its server.

    `base`: fingerprint of the edge model. `lent`: models it offers. `on_state`: told "attached" or why not.
    """

    credentials: Credentials
    address: str
    server_key: Ed25519PublicKey
    work: Work
    blobs: BlobStore
    outbox: Outbox
    base: str
    lent: tuple[wire.Model, ...] = ()
    on_state: Callable[[str], None] = lambda state: None
    lender: Lender | None = None
    witness: Witness | None = None
    _replies: OrderedDict[str, tuple[str, int, str]] = field(default_factory=OrderedDict)
    _working: set[str] = field(default_factory=set)
    _requests: asyncio.Queue[wire.FlowerMessage] = field(default_factory=asyncio.Queue)
    _outgoing: asyncio.Queue[wire.ClientFrame | None] = field(default_factory=asyncio.Queue)
    _here: asyncio.Event = field(default_factory=asyncio.Event)
    _session: bytes = b""
    _since: float = math.inf  # when this attachment began
    _stub: Any = None

    async def stay(self) -> None:
        """Keep attached until cancelled. Raises UsageError when the server refuses this client for good."""
        worker = asyncio.create_task(self._work_off())
        pause = FIRST_PAUSE
        try:
            while True:
                self._since = math.inf
                try:
                    async with self.credentials.channel(self.address) as channel:
                        self._stub = LinkStub(channel)  # type: ignore[no-untyped-call]
                        await self._attached()
                    said = "the server ended the stream"
                except grpc.aio.AioRpcError as error:
                    problem = refused(error, self.address)
                    if error.code() in FINAL:
                        raise problem from None
                    said = problem.message
                except TimeoutError:
                    said = "the server does not answer"
                except RefusedPayload as error:
                    raise UsageError(f"{self.address}: {error.message}", hint=error.hint) from None
                if asyncio.get_running_loop().time() - self._since > pause:
                    pause = FIRST_PAUSE  # it had been there for a while
                wait = random.uniform(0.5, 1.0) * pause
                self.on_state(f"{said}; again in {wait:.1f} s")
                await asyncio.sleep(wait)
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            worker.cancel()

    async def _attached(self) -> None:
        """One attachment, until it ends."""
        self._outgoing = asyncio.Queue()
        nonce = os.urandom(16)
        hello = wire.Hello(
            protocol=PROTOCOL,
            software=software(),
            models=self.lent,
            nonce=nonce,
            base=self.base,
            published=self.witness.round if self.witness else 0,
        )
        self._outgoing.put_nowait(wire.ClientFrame(hello=hello))
        call = self._stub.Attach(self._frames())
        async with asyncio.timeout(WELCOME_SECONDS):
            first = await call.read()
        if first is grpc.aio.EOF:
            await _fail(call)
        self._welcomed(first, nonce)
        self._since = asyncio.get_running_loop().time()
        self.on_state("attached")
        self._here.set()
        try:
            while (frame := await call.read()) is not grpc.aio.EOF:
                self._take(frame)
            await _fail(call)
        finally:
            self._here.clear()
            self._outgoing.put_nowait(None)
            self._session = b""

    async def _frames(self) -> AsyncIterator[wire.ClientFrame]:
        while (frame := await self._outgoing.get()) is not None:
            yield frame

    def _welcomed(self, frame: wire.ServerFrame, nonce: bytes) -> None:
        """Believe the server only if it signs what we drew, with the key it had when we enrolled."""
        if frame.WhichOneof("frame") != "welcome":
            raise RefusedPayload("the server does not answer as it should")
        welcome = frame.welcome
        speaks(welcome.protocol)
        check(self.server_key, WELCOME, nonce + welcome.session, welcome.signature)
        if welcome.federation != self.credentials.federation or welcome.nonce != nonce:
            raise RefusedPayload("this is the server of another federation")
        if self.witness is not None:
            self.witness.welcomed(welcome.last)
        self._session = welcome.session

    def _take(self, frame: wire.ServerFrame) -> None:
        match frame.WhichOneof("frame"):
            case "request":
                self._requested(frame.request)
            case "ping":
                pong = wire.ClientFrame(pong=wire.Pong(number=frame.ping.number))
                self._outgoing.put_nowait(pong)
            case "published" if self.witness is not None:
                self.witness.follow(frame.published)
            case "lend":
                why_not = "the client lends no model"
                if self.lender is not None:
                    why_not = self.lender.asked(frame.lend, self._stub)
                if why_not:
                    self._refuse(frame.lend.lease.hex(), why_not)
            case "left_out":
                out = frame.left_out
                self.on_state(f"left out of round {out.round}: {one_line(out.reason)}")
            case "bye":
                self.on_state(f"the server goes: {one_line(frame.bye.reason)}")

    def _requested(self, request: wire.FlowerMessage) -> None:
        expected = Manifest(
            sender=self.credentials.federation,
            receiver=self.work.name,
            kind=request.kind,
            round=0,
            message=request.id,
            base=self.base,
            digest=request.digest.hex(),
            size=int(request.size),
            session=self._session.hex(),
        )
        try:
            manifest = verified(self.server_key, request.manifest, request.signature)
            if manifest != Manifest(**{**expected.__dict__, "round": manifest.round}):
                raise RefusedPayload("the signed manifest is for something else")
        except RefusedPayload as error:
            log.warning("a request was refused: %s", error.message)
            self._refuse(request.id, error.message)
            return
        if request.id in self._replies:
            self._requests.put_nowait(request)
        elif request.id not in self._working:
            self._working.add(request.id)
            self._requests.put_nowait(request)

    async def _work_off(self) -> None:
        """Requests one after another: there is one model, and an order that all carriers share."""
        while True:
            request = await self._requests.get()
            try:
                await self._answer(request)
            except RengaError as error:
                self._refuse(request.id, f"{type(error).__name__}: {error.message}")
            except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and _cancelled():
                    raise
                if _lost(error):  # the work is kept, and goes on when we are back
                    self._requests.put_nowait(request)
                    await self._here.wait()
                    continue
                log.info("a reply was not taken: %s", error)
                code = error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__
                self._refuse(request.id, f"its reply was not taken: {code}")
            except Exception as error:
                # Nobody watches this task: were it to end, the client would stay attached and mute.
                log.exception("a request could not be worked on")
                self._refuse(request.id, f"failed: {type(error).__name__}")
            self._working.discard(request.id)

    async def _answer(self, request: wire.FlowerMessage) -> None:
        manifest = Manifest(**_fields(request.manifest))
        if request.id not in self._replies:
            digest = request.digest.hex()
            await self._fetch(digest, int(request.size))
            parts = await asyncio.to_thread(
                self.work.answer, self.blobs.mapped(digest), request.id, request.kind
            )
            self.blobs.drop(digest)
            reply, size = await asyncio.to_thread(self.blobs.add, parts)
            self.outbox.release(request.kind, manifest.round, size, digest=reply)
            self._replies[request.id] = (reply, size, "")
            while len(self._replies) > REMEMBERED:
                _, (old, _, _) = self._replies.popitem(last=False)
                self.blobs.drop(old)
        reply, size, _ = self._replies[request.id]
        await self._bring(reply, size)
        self._say(request, manifest, reply, size)

    def _say(self, request: wire.FlowerMessage, manifest: Manifest, digest: str, size: int) -> None:
        if not self._session:
            return
        assert self.credentials.signing is not None
        stands_for = Manifest(
            sender=self.work.name,
            receiver=self.credentials.federation,
            kind=request.kind,
            round=manifest.round,
            message=request.id,
            base=self.base,
            digest=digest,
            size=size,
            session=self._session.hex(),
        )
        data, signature = signed(self.credentials.signing, stands_for)
        reply = wire.FlowerMessage(
            id=request.id,
            kind=request.kind,
            digest=bytes.fromhex(digest),
            size=size,
            manifest=data,
            signature=signature,
        )
        self._outgoing.put_nowait(wire.ClientFrame(reply=reply))

    def _refuse(self, id: str, reason: str) -> None:
        self._outgoing.put_nowait(wire.ClientFrame(refusal=wire.Refusal(id=id, reason=one_line(reason))))

    async def _fetch(self, digest: str, size: int) -> None:
        """Get a blob, going on from where it broke off."""
        for attempt in range(ATTEMPTS):
            have = self.blobs.arrived(digest, size)
            try:
                if have < size:
                    call = self._stub.Get(wire.GetRequest(digest=bytes.fromhex(digest), **{"from": have}))
                    async for part in call:
                        have = self.blobs.append(digest, part.data, have, size)
                if have == size:
                    await asyncio.to_thread(self.blobs.finish, digest)
                    return
            except grpc.aio.AioRpcError as error:
                gone = error.code() is not grpc.StatusCode.UNAVAILABLE or not self._here.is_set()
                if gone or attempt + 1 == ATTEMPTS:
                    raise
                await asyncio.sleep(0.2 * 2**attempt)
        raise RefusedPayload("the server does not give the whole of a blob")

    async def _bring(self, digest: str, size: int) -> None:
        """Put a blob, going on from where it broke off."""
        for attempt in range(ATTEMPTS):
            try:
                call = self._stub.Put()
                await call.write(wire.PutPart(digest=bytes.fromhex(digest), size=size))
                reply = await call.read()
                if reply is grpc.aio.EOF:
                    await _fail(call)
                if not reply.complete:
                    for part in self.blobs.parts(digest, int(reply.have)):
                        await call.write(wire.PutPart(data=part))
                    await call.done_writing()
                    reply = await call.read()
                    if reply is grpc.aio.EOF:
                        await _fail(call)
                if reply.complete:
                    call.cancel()
                    return
            except grpc.aio.AioRpcError as error:
                # INVALID_ARGUMENT: there is no room now, or an upload that broke off is still being closed.
                # INTERNAL: what gRPC says of writing to a call that was refused that moment.
                busy = {
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    grpc.StatusCode.INVALID_ARGUMENT,
                    grpc.StatusCode.INTERNAL,
                }
                if error.code() not in busy or not self._here.is_set() or attempt + 1 == ATTEMPTS:
                    raise
                await asyncio.sleep(0.2 * 2**attempt)
        raise RengaError("the server does not take the reply")


def _cancelled() -> bool:
    """Whether this very task is to end; a call on a connection that was closed looks just the same."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _lost(error: BaseException) -> bool:
    """Whether a call failed because the connection is gone."""
    return not isinstance(error, grpc.aio.AioRpcError) or error.code() in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
    )


async def _fail(call: Any) -> None:
    """Raise what a stream that ended too soon ended with."""
    code = await call.code()
    if code is grpc.StatusCode.OK:
        code = grpc.StatusCode.UNAVAILABLE
    raise grpc.aio.AioRpcError(
        code, await call.initial_metadata(), await call.trailing_metadata(), await call.details()
    )


def _fields(manifest: bytes) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(manifest)
    return read
