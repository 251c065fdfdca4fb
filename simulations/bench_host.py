"""A host model in a process of its own, over the real link on loopback, and clients of it here."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from renga.models.adapter import Adapter
from renga.models.remote import ConnectionLost, RemoteModel, SessionChannel
from renga.models.serving_sessions import SessionLimits
from renga.models.vocabulary import Vocabulary
from renga.models.weights import SharedWeights
from renga.protocol.blobs import BlobStore
from renga.protocol.session_stream import SessionStream
from renga.server import identity
from renga.server.link import Post
from renga.server.service import LinkService, listen
from renga.server.sessions import HostSessions
from renga.simulations.bench_link import OWN_POOL, credentials_of, usage

Carrying = Callable[[SessionChannel], SessionChannel]


class HostProcess:
    """A server with the model `reference`, wearing `adapter`, in a process of its own; `most` clients here,
    each with its own certificate and connection."""

    def __init__(self, folder: Path, reference: str, most: int = 1, adapter: Adapter | None = None) -> None:
        who = identity.create(folder / "server", "localhost:0", ["localhost"])
        self._clients = [credentials_of(who, f"client{n:02d}") for n in range(most)]
        self._orders, there = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(folder / "server", reference, most, adapter, there)
        )
        self._process.start()
        there.close()
        self._address = f"localhost:{self._orders.recv()}"
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def __enter__(self) -> HostProcess:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._orders.send("end")
        self._process.join(20)
        if self._process.is_alive():
            self._process.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def usage(self) -> dict[str, float]:
        """What the server's process holds and has used; see `bench_link.usage`."""
        self._orders.send("state")
        used: dict[str, float] = self._orders.recv()
        return used

    def model(
        self, client: int, vocabulary: Vocabulary, carrying: Carrying = lambda channel: channel
    ) -> tuple[RemoteModel, Callable[[], None]]:
        """The host as a client sees it, and how to hang up. carrying: what each session's channel goes
        through."""

        async def connect() -> Any:
            return self._clients[client].channel(self._address, OWN_POOL)

        channel = asyncio.run_coroutine_threadsafe(connect(), self._loop).result()

        def dial() -> SessionChannel:
            return carrying(SessionStream(self._loop, channel, ConnectionLost, patience=600.0))

        def close() -> None:
            asyncio.run_coroutine_threadsafe(channel.close(), self._loop).result()

        return RemoteModel(dial, "host", vocabulary), close


@dataclass
class _Bare:
    """A host that does not learn."""

    weights: SharedWeights
    adapter: Adapter | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)


def _serve(folder: Path, reference: str, most: int, adapter: Adapter | None, orders: Connection) -> None:
    asyncio.run(_served(folder, reference, most, adapter, orders))


async def _served(
    folder: Path, reference: str, most: int, adapter: Adapter | None, orders: Connection
) -> None:
    who = identity.load(folder)
    host = _Bare(SharedWeights.load(reference), adapter)
    limits = SessionLimits(sessions_in_all=most, ids_per_session=2048)
    service = LinkService(who, Post(who, BlobStore(folder / "blobs")), sessions=HostSessions(host, limits))
    server, port = await listen(who, service, "localhost", 0)
    orders.send(port)
    while await asyncio.to_thread(orders.recv) != "end":
        orders.send(usage())
    await server.stop(0)
