"""A server and clients on real sockets, in one process: the server's loop in a thread, clients in another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from flwr.clientapp import ClientApp

from renga.client.enrolment import enrol
from renga.client.ledger import Ledger
from renga.client.link import Link
from renga.client.outbox import Outbox
from renga.client.policy import Policy
from renga.client.work import Work
from renga.protocol import link_pb2 as wire
from renga.protocol.blobs import BlobStore
from renga.protocol.credentials import Credentials
from renga.protocol.invitations import Ticket
from renga.protocol.signing import public_key
from renga.server import identity
from renga.server.answering import Answering
from renga.server.identity import ServerIdentity
from renga.server.lending import Lending
from renga.server.link import Post
from renga.server.service import LinkService, listen
from renga.server.sessions import Sessions


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, coroutine: Coroutine[Any, Any, Any], timeout: float = 60.0) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def stop(self) -> None:
        async def end() -> None:
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.do(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)


class World:
    """A server on a free port, and what is needed to attach clients to it."""

    def __init__(
        self,
        folder: Path,
        sessions: Callable[[], Sessions] | None = None,
        answering: Answering | None = None,
        models: Sequence[wire.Model] = (),
    ) -> None:
        self.folder = folder
        self.models = models
        self.sessions = sessions
        self.answering = answering
        self.loop = Loop()
        self.who: ServerIdentity = (
            identity.load(folder / "server")
            if identity.exists(folder / "server")
            else identity.create(folder / "server", "localhost:0", ["localhost"])
        )
        self.server: grpc.aio.Server
        self.port = 0
        self.links: dict[str, Any] = {}
        self.up()

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    def up(self) -> None:
        async def start() -> None:
            self.post = Post(self.who, BlobStore(self.folder / "server" / "blobs"))
            self.lending = Lending(self.post)
            service = LinkService(
                self.who,
                self.post,
                self.models,
                answering=self.answering,
                sessions=self.sessions,
                lending=self.lending,
            )
            self.server, self.port = await listen(self.who, service, "localhost", self.port)

        self.loop.do(start())

    def down(self) -> None:
        self.loop.do(self.server.stop(0))

    def invite(self, name: str) -> Ticket:
        return self.who.invite(name, self.address)

    def enrolled(self, name: str) -> Credentials:
        found: Credentials = self.loop.do(enrol(self.invite(name), self.folder / name))
        return found

    def link(
        self, name: str, app: ClientApp, credentials: Credentials | None = None, policy: Policy | None = None
    ) -> Link:
        credentials = credentials or self.enrolled(name)
        key = public_key((self.folder / name / "server-signing.key").read_bytes())
        outbox = Outbox(self.address, policy or Policy(), Ledger(self.folder / name / "ledger.jsonl"))
        return Link(
            credentials=credentials,
            address=self.address,
            server_key=key,
            work=Work.of(name, app),
            blobs=BlobStore(self.folder / name / "blobs"),
            outbox=outbox,
            base="b" * 64,
        )

    def attach(self, link: Link) -> None:
        future = self.links[link.work.name] = self.loop.start(link.stay())
        self.wait_for(lambda: future.done() or link.work.name in self.post.attached())
        if future.done():
            future.result()

    def detach(self, name: str) -> None:
        self.links.pop(name).cancel()
        self.wait_for(lambda: name not in self.post.attached())

    def wait_for(self, true: Any, seconds: float = 60.0) -> None:
        import time

        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "it never happened"
            time.sleep(0.01)

    def close(self) -> None:
        for future in self.links.values():
            future.cancel()
        self.down()
        self.loop.stop()


@contextmanager
def world(
    folder: Path,
    sessions: Callable[[], Sessions] | None = None,
    answering: Answering | None = None,
    models: Sequence[wire.Model] = (),
) -> Iterator[World]:
    made = World(folder, sessions, answering, models)
    try:
        yield made
    finally:
        made.close()
