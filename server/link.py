"""The server's side of the standing streams: who is attached, and what is on its way to whom."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from renga.errors import RefusedPayload
from renga.protocol import link_pb2 as wire
from renga.protocol.blobs import BlobStore
from renga.protocol.failure import one_line
from renga.protocol.link_carrier import LinkGrid, Parcel
from renga.protocol.signing import WELCOME, Manifest, public_key, signed, verified
from renga.protocol.versions import PROTOCOL, software, speaks
from renga.server.access import exhausted, refuse
from renga.server.identity import ServerIdentity

log = logging.getLogger("renga.server")

HELLO_SECONDS = 10.0  # for the first frame
PROBE_SECONDS = 2.0  # for a sign of life of an attachment that another one wants to replace
KEPT = 8  # blobs of one client, finished or not, that were brought last
UPLOADS = 2  # of one client at once, if nothing else is said

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class Attachment:
    """One client's standing stream."""

    name: str
    session: bytes
    hello: wire.Hello
    since: float
    outgoing: asyncio.Queue[wire.ServerFrame | None] = field(default_factory=asyncio.Queue)
    alive: asyncio.Event = field(default_factory=asyncio.Event)


class Post:
    """Carries parcels to attached clients, and their replies back to the grid (a `Courier`).

    Everything but `attached`, `offer` and `withdraw` runs in the event loop it was made in.
    """

    def __init__(
        self,
        who: ServerIdentity,
        blobs: BlobStore,
        transfer: str = "",
        chain: Iterable[wire.Published] = (),
        uploads: int = UPLOADS,
    ) -> None:
        """`transfer`: sha256 of the blob with the public texts, which every client may fetch. `chain`: what
        was published so far. `uploads`: of one client at once."""
        self.grid = LinkGrid(self, blobs)
        self.transfer = transfer
        self.transfer_size = blobs.size(transfer) if transfer else 0
        self._who = who
        self._blobs = blobs
        self._chain = list(chain)
        self._uploads = uploads
        self._loop = asyncio.get_running_loop()
        self._attached: dict[str, Attachment] = {}
        self._waiting: dict[str, dict[str, Parcel]] = {}
        self._putting: dict[str, int] = {}
        self._brought: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        self.on_refusal: Callable[[str, str, str], None] = lambda name, id, reason: (
            None
        )  # of what is no parcel

    # For the strategy, from its thread.

    def attached(self) -> Iterable[str]:
        return sorted(self._attached.copy())

    def offer(self, parcel: Parcel) -> None:
        with self._lock:
            self._waiting.setdefault(parcel.name, {})[parcel.id] = parcel
        self._loop.call_soon_threadsafe(self._send, parcel)

    def withdraw(self, id: str) -> None:
        with self._lock:
            for parcels in self._waiting.values():
                parcels.pop(id, None)

    def last_published(self) -> wire.Published | None:
        """The newest link of the chain."""
        return self._chain[-1] if self._chain else None

    def publish(self, link: wire.Published) -> None:
        """Tell everybody who is there of a round that is written down; others when they come."""
        self._chain.append(link)
        self._loop.call_soon_threadsafe(self._tell_all, wire.ServerFrame(published=link))

    def leave_out(self, name: str, round: int, reason: str) -> None:
        """Tell a client, if it is here, why a round is played without it."""
        frame = wire.ServerFrame(left_out=wire.LeftOut(round=round, reason=one_line(reason)))
        self._loop.call_soon_threadsafe(self.tell, name, frame)

    # In the loop.

    def tell(self, name: str, frame: wire.ServerFrame) -> bool:
        """Send a frame on a client's standing stream, if it is here."""
        attachment = self._attached.get(name)
        if attachment is not None:
            attachment.outgoing.put_nowait(frame)
        return attachment is not None

    def _tell_all(self, frame: wire.ServerFrame) -> None:
        for attachment in list(self._attached.values()):
            attachment.outgoing.put_nowait(frame)

    def hellos(self) -> dict[str, wire.Hello]:
        """What each attached client said of itself."""
        return {name: attachment.hello for name, attachment in sorted(self._attached.items())}

    async def attach(
        self, name: str, frames: AsyncIterator[wire.ClientFrame], context: Context
    ) -> AsyncGenerator[wire.ServerFrame, None]:
        """Serve a client's standing stream until either side goes."""
        hello = await self._hello(frames, context)
        await self._make_room(name, context)
        attachment = Attachment(name, os.urandom(16), hello, time.time())
        self._attached[name] = attachment
        log.info("%s is here (%s)", name, one_line(hello.software, 40))
        self.grid.clock.ring()
        reader = asyncio.create_task(self._read(attachment, frames))
        try:
            yield self._welcome(attachment, known := list(self._chain))
            for link in known if hello.published else known[-1:]:
                if link.round >= hello.published:
                    yield wire.ServerFrame(published=link)
            for parcel in list(self._waiting.get(name, {}).values()):
                self._send(parcel)
            while (frame := await attachment.outgoing.get()) is not None:
                yield frame
        finally:
            reader.cancel()
            if self._attached.get(name) is attachment:
                del self._attached[name]
            log.info("%s is gone", name)
            self.grid.clock.ring()

    async def put(
        self, name: str, parts: AsyncIterator[wire.PutPart], context: Context
    ) -> AsyncGenerator[wire.PutReply, None]:
        """Take a blob from a client, from where it broke off."""
        upcoming = aiter(parts)
        if self._putting.get(name, 0) >= self._uploads or not self._waiting.get(name):
            await anext(upcoming, None)  # who is cut off while it writes is not told why
        if self._putting.get(name, 0) >= self._uploads:
            await exhausted(context, "too many uploads at once", 5.0)
        if not self._waiting.get(name):
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "nothing is waited for")
        self._putting[name] = self._putting.get(name, 0) + 1
        try:
            first = await anext(upcoming)
            digest, size = first.digest.hex(), int(first.size)
            have = self._blobs.arrived(digest, size)
            self._note_brought(name, digest)
            yield wire.PutReply(have=have, complete=have == size and self._blobs.has(digest))
            if self._blobs.has(digest):
                return
            async for part in upcoming:
                have = self._blobs.append(digest, part.data, have, size)
                if have == size:
                    break
            if have == size:
                await asyncio.to_thread(self._blobs.finish, digest)
                yield wire.PutReply(have=have, complete=True)
        except StopAsyncIteration:
            return
        except RefusedPayload as error:
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error.message)
        finally:
            self._putting[name] -= 1

    def _note_brought(self, name: str, digest: str) -> None:
        """Let nobody fill the disk with what no reply names: of a client's blobs the last few are kept."""
        if self._blobs.has(digest):
            return
        mine = self._brought.setdefault(name, [])
        if digest in mine:
            return
        mine.append(digest)
        while len(mine) > KEPT:
            self._blobs.drop(mine.pop(0))

    async def get(
        self, name: str, request: wire.GetRequest, context: Context
    ) -> AsyncGenerator[wire.GetPart, None]:
        """Give a client a blob that is on its way to it."""
        digest = request.digest.hex()
        mine = {parcel.digest for parcel in self._waiting.get(name, {}).values()} | {self.transfer}
        if digest not in mine:
            await refuse(context, grpc.StatusCode.NOT_FOUND, "there is no such blob for this client")
        size = self._blobs.size(digest)
        start = int(getattr(request, "from"))
        for number, part in enumerate(self._blobs.parts(digest, min(start, size))):
            yield wire.GetPart(data=part, size=0 if number else size)

    async def close(self, reason: str, retry_after: float) -> None:
        """Tell everybody that the server goes."""
        bye = wire.ServerFrame(bye=wire.Bye(reason=reason, retry_after=retry_after))
        for attachment in list(self._attached.values()):
            attachment.outgoing.put_nowait(bye)
            attachment.outgoing.put_nowait(None)

    def dismiss(self, name: str) -> None:
        """End the stream of a client that was revoked."""
        if attachment := self._attached.get(name):
            attachment.outgoing.put_nowait(None)

    async def _hello(self, frames: AsyncIterator[wire.ClientFrame], context: Context) -> wire.Hello:
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                first = await anext(aiter(frames))
            if first.WhichOneof("frame") != "hello" or len(first.hello.nonce) != 16:
                raise RefusedPayload("the stream does not begin with a hello")
            speaks(first.hello.protocol)
        except (TimeoutError, StopAsyncIteration):
            await refuse(context, grpc.StatusCode.DEADLINE_EXCEEDED, "no hello in time")
        except RefusedPayload as error:
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, error.message)
        return first.hello

    async def _make_room(self, name: str, context: Context) -> None:
        """A client that crashed may come back at once; two that run under one name may not both be here."""
        old = self._attached.get(name)
        if old is None:
            return
        old.alive.clear()
        old.outgoing.put_nowait(wire.ServerFrame(ping=wire.Ping(number=1)))
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await old.alive.wait()
        except TimeoutError:
            old.outgoing.put_nowait(None)
            return
        log.warning("%s tried to attach twice; the second was refused", name)
        await refuse(
            context, grpc.StatusCode.ALREADY_EXISTS, f"{name} is attached already, from another process"
        )

    def _welcome(self, attachment: Attachment, chain: Sequence[wire.Published]) -> wire.ServerFrame:
        assert self._who.credentials.signing is not None
        nonce = attachment.hello.nonce
        return wire.ServerFrame(
            welcome=wire.Welcome(
                protocol=PROTOCOL,
                software=software(),
                federation=self._who.federation,
                session=attachment.session,
                nonce=nonce,
                signature=self._who.credentials.signing.sign(WELCOME + nonce + attachment.session),
                transfer=bytes.fromhex(self.transfer),
                last=chain[-1] if chain else None,
            )
        )

    def _send(self, parcel: Parcel) -> None:
        """Tell a client of a parcel, if it is here and the parcel still wanted."""
        attachment = self._attached.get(parcel.name)
        left = parcel.until - time.monotonic()
        if attachment is None or left <= 0 or parcel.id not in self._waiting.get(parcel.name, {}):
            return
        assert self._who.credentials.signing is not None
        manifest = Manifest(
            sender=self._who.federation,
            receiver=parcel.name,
            kind=parcel.kind,
            round=parcel.round,
            message=parcel.id,
            base=attachment.hello.base,
            digest=parcel.digest,
            size=parcel.size,
            session=attachment.session.hex(),
        )
        data, signature = signed(self._who.credentials.signing, manifest)
        request = wire.FlowerMessage(
            id=parcel.id,
            kind=parcel.kind,
            digest=bytes.fromhex(parcel.digest),
            size=parcel.size,
            deadline=left,
            manifest=data,
            signature=signature,
        )
        attachment.outgoing.put_nowait(wire.ServerFrame(request=request))

    async def _read(self, attachment: Attachment, frames: AsyncIterator[wire.ClientFrame]) -> None:
        try:
            async for frame in frames:
                attachment.alive.set()
                match frame.WhichOneof("frame"):
                    case "reply":
                        self._reply(attachment, frame.reply)
                    case "refusal":
                        reason = one_line(frame.refusal.reason)
                        self._settle(attachment.name, frame.refusal.id, error=reason)
                        self.on_refusal(attachment.name, frame.refusal.id, reason)
                    case "bye":
                        break
        except (grpc.RpcError, asyncio.CancelledError):
            pass
        finally:
            attachment.outgoing.put_nowait(None)

    def _reply(self, attachment: Attachment, reply: wire.FlowerMessage) -> None:
        parcel = self._waiting.get(attachment.name, {}).get(reply.id)
        if parcel is None:
            return  # answered already, or nobody waits any more
        try:
            digest = self._believed(attachment, parcel, reply)
        except RefusedPayload as error:
            log.warning("a reply of %s was refused: %s", attachment.name, error.message)
            self._settle(attachment.name, reply.id, error=f"refused: {error.message}")
            return
        self._settle(attachment.name, reply.id, digest=digest, size=int(reply.size))

    def _believed(self, attachment: Attachment, parcel: Parcel, reply: wire.FlowerMessage) -> str:
        """The blob of a reply that its sender stands for: this client, this message, this round, here."""
        digest = reply.digest.hex()
        expected = Manifest(
            sender=attachment.name,
            receiver=self._who.federation,
            kind=parcel.kind,
            round=parcel.round,
            message=parcel.id,
            base=attachment.hello.base,
            digest=digest,
            size=int(reply.size),
            session=attachment.session.hex(),
        )
        problem: RefusedPayload | None = None
        for raw in self._who.registry.signing_keys(attachment.name):
            try:
                if verified(public_key(raw), reply.manifest, reply.signature) != expected:
                    raise RefusedPayload("the signed manifest is for something else")
                break
            except RefusedPayload as error:
                problem = problem or error
        else:
            raise problem or RefusedPayload("no key of this client is known")
        if not self._blobs.has(digest) or self._blobs.size(digest) != reply.size:
            raise RefusedPayload("the blob of the reply was not brought")
        return digest

    def _settle(self, name: str, id: str, *, digest: str = "", size: int = 0, error: str = "") -> None:
        with self._lock:
            known = self._waiting.get(name, {}).pop(id, None)
        if known is not None:
            self.grid.deliver(id, digest=digest, size=size, error=error)
