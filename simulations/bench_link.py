"""What the link costs by itself: idle streams, a round without work, and payloads that are large.

The server runs in a process of its own, over TLS on loopback, so that its memory and time are not mixed with
those of the clients. The streams of the load are bare (a hello, then silence); the clients of the rounds are
whole ones, with a ClientApp that gives back what it was sent.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from renga.client.ledger import Ledger
from renga.client.link import Link
from renga.client.outbox import Outbox
from renga.client.policy import Policy
from renga.client.work import Work
from renga.protocol import link_pb2 as wire
from renga.protocol.blobs import BlobStore
from renga.protocol.certificates import new_key
from renga.protocol.credentials import Credentials
from renga.protocol.envelope import MESSAGE_TYPES, opened, sealed
from renga.protocol.flower_internals import acting_as_server
from renga.protocol.gather import gather_as
from renga.protocol.link_carrier import LinkGrid
from renga.protocol.link_pb2_grpc import LinkStub
from renga.protocol.names import node_id
from renga.protocol.versions import PROTOCOL, software
from renga.server import identity
from renga.server.daemon import dismiss_revoked
from renga.server.identity import ServerIdentity
from renga.server.link import Post
from renga.server.plan import Blob
from renga.server.service import LinkService, listen
from renga.server.state import ServerState
from renga.simulations.units import size

FEW, MANY = 2, 8  # clients of the rounds, and of those with large payloads
STEPS = ("learn", "answer", "exchange", "judge")
FIXED_AT_MOST = 0.2  # seconds of a round without work
ATTACHING = 50  # streams that shake hands at once
PATIENCE = 900.0  # seconds, for all of them to be there
OWN_POOL = (("grpc.use_local_subchannel_pool", 1),)


def measure(
    *, streams: int, rounds: int, seconds: float, payload: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """`streams` idle for `seconds`, then `rounds` without work, and exchanges of `payload` bytes a client."""
    with tempfile.TemporaryDirectory(prefix="renga-bench-") as work:
        folder = Path(work)
        who = identity.create(folder / "server", "localhost:0", ["localhost"])
        tell(f"making keys for {streams} clients")
        idle = [credentials_of(who, f"idle{n:05d}") for n in range(streams)]
        own = {name: credentials_of(who, name) for name in _names(MANY)}
        here, there = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder / "server", there))
        server.start()
        there.close()  # so that its death is heard here
        try:
            return {
                "benchmark": "link",
                "streams": streams,
                **asyncio.run(_drive(folder, here, who, idle, own, rounds, seconds, payload, tell)),
            }
        finally:
            with suppress(OSError):
                here.send(("end",))
            server.join(20)
            if server.is_alive():
                server.kill()


def targets(result: Mapping[str, Any]) -> list[tuple[str, bool, str]]:
    """Each target, whether it is met, and what was measured."""
    idle, fixed = result["idle"], result["round_seconds"]
    each = size(idle["bytes_per_stream"])
    held = f"{idle['held']} held: {each} each, {100 * idle['cpu_share']:.1f}% of one core"
    found = [
        (f"{result['streams']} idle streams are held", idle["held"] == result["streams"], held),
        (
            f"a round without work takes under {FIXED_AT_MOST} s",
            fixed["median"] < FIXED_AT_MOST,
            f"{fixed['median']:.3f} s, alone; {result['crowded_round_seconds']['median']:.3f} s beside them",
        ),
    ]
    if result["large"]:
        few, many = (over(large, result["payload_bytes"]) for large in result["large"])
        found.append(
            (
                f"{size(result['payload_bytes'])} a client: {MANY} take no more memory than {FEW}",
                many < few + 1,
                f"{many:.1f} payloads at the peak with {MANY}, {few:.1f} with {FEW}",
            )
        )
    return found


def over(large: Mapping[str, Any], payload: int) -> float:
    """The peak of memory over what the server held before, in payloads."""
    return float((large["peak"] - large["before"]) / payload)


def credentials_of(who: ServerIdentity, name: str) -> Credentials:
    """Those of a client that is enrolled without a journey."""
    key, signing = new_key(), Ed25519PrivateKey.generate()
    certificate = who.certify(key.public_key(), name)
    who.registry.enrol(certificate, signing.public_key().public_bytes_raw())
    return Credentials(who.authority.certificate, certificate, key, signing)


async def _drive(
    folder: Path,
    server: Connection,
    who: ServerIdentity,
    idle: Sequence[Credentials],
    own: Mapping[str, Credentials],
    rounds: int,
    seconds: float,
    payload: int,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    async def ask(*what: Any) -> Any:
        server.send(what)
        return await asyncio.to_thread(server.recv)

    address = f"localhost:{await asyncio.to_thread(server.recv)}"
    links: list[asyncio.Task[None]] = []

    async def join(count: int, others: int = 0) -> None:
        for name in _names(count)[len(links) :]:
            links.append(asyncio.create_task(_link(folder, name, own[name], who, address).stay()))
        async with asyncio.timeout(PATIENCE):
            while (await ask("state"))["attached"] < count + others:
                await asyncio.sleep(0.05)

    await join(FEW)
    tell(f"{rounds} rounds without work")
    alone = await ask("rounds", FEW, rounds)
    before = await ask("state")

    tell(f"attaching {len(idle)} streams")
    started, gate = time.perf_counter(), asyncio.Semaphore(ATTACHING)
    async with asyncio.timeout(PATIENCE):
        calls = await asyncio.gather(*(_attach(one, address, gate) for one in idle))
    attaching = time.perf_counter() - started
    await asyncio.sleep(2.0)
    first = await ask("state")
    tell(f"{first['attached'] - FEW} are there; idle for {seconds:g} s")
    await asyncio.sleep(seconds)
    last = await ask("state")
    crowded = await ask("rounds", FEW, rounds)
    for call, channel in calls:
        call.cancel()
        await channel.close()

    large = []
    for count in (FEW, MANY) if payload else ():
        tell(f"{size(payload)} to and from each of {count} clients")
        await join(count)
        before_it = await ask("state")
        took = await ask("payload", count, payload)
        peak = (await ask("state"))["peak"]
        large.append({"clients": count, "seconds": took, "before": before_it["resident"], "peak": peak})
    for link in links:
        link.cancel()
    await asyncio.gather(*links, return_exceptions=True)
    return {
        "round_seconds": _spread(alone),
        "crowded_round_seconds": _spread(crowded),
        "idle": {
            "held": last["attached"] - FEW,
            "attach_seconds": attaching,
            "bytes_per_stream": (last["resident"] - before["resident"]) / max(1, len(idle)),
            "server_bytes": last["resident"],
            "cpu_share": (last["cpu"] - first["cpu"]) / (last["at"] - first["at"]),
        },
        "payload_bytes": payload,
        "large": large,
    }


def _link(folder: Path, name: str, one: Credentials, who: ServerIdentity, address: str) -> Link:
    keys = folder / name
    assert who.credentials.signing is not None
    return Link(
        credentials=one,
        address=address,
        server_key=who.credentials.signing.public_key(),
        work=Work.of(name, _echo()),
        blobs=BlobStore(keys / "blobs"),
        outbox=Outbox(address, Policy(), Ledger(keys / "ledger.jsonl")),
        base="b" * 64,
    )


async def _attach(one: Credentials, address: str, gate: asyncio.Semaphore) -> tuple[Any, Any]:
    """A stream that says who it is, and then nothing; a connection of its own, as from another device."""
    async with gate:
        channel = one.channel(address, OWN_POOL)
        call = LinkStub(channel).Attach()  # type: ignore[no-untyped-call]
        hello = wire.Hello(protocol=PROTOCOL, software=software(), nonce=os.urandom(16), base="b" * 64)
        await call.write(wire.ClientFrame(hello=hello))
        await call.read()
        return call, channel


def _echo() -> ClientApp:
    app = ClientApp()

    def same(asked: Message, context: Context) -> Message:
        return Message(asked.content, reply_to=asked)

    for kind in MESSAGE_TYPES.values():
        group, _, step = kind.partition(".")
        getattr(app, group)(step)(same)
    return app


def _serve(folder: Path, orders: Connection) -> None:
    """The server's process: does what it is told until the end."""
    asyncio.run(_served(folder, orders))


async def _served(folder: Path, orders: Connection) -> None:
    who = identity.load(folder)
    post = Post(who, BlobStore(folder / "blobs"))
    server, port = await listen(who, LinkService(who, post), "localhost", 0)
    watch = asyncio.create_task(dismiss_revoked(who, post))  # as `renga serve` does
    orders.send(port)
    while (order := await asyncio.to_thread(orders.recv))[0] != "end":
        if order[0] == "state":
            orders.send({**usage(), "attached": len(list(post.attached()))})
        else:
            play = _rounds if order[0] == "rounds" else partial(_payload, folder)
            orders.send(await asyncio.to_thread(play, post, *order[1:]))
    watch.cancel()
    await server.stop(0)


def _rounds(post: Post, clients: int, rounds: int) -> list[float]:
    """Seconds of each round: the exchanges of a real one, with next to nothing in them."""
    found = []
    with acting_as_server(1):
        for number in range(1, rounds + 1):
            started = time.perf_counter()
            for step in STEPS:
                _exchanged(post, clients, step, np.zeros(8, np.uint8), number, lambda blob: blob)
            found.append(time.perf_counter() - started)
    return found


def _payload(folder: Path, post: Post, clients: int, payload: int) -> float:
    """Seconds of one exchange of large messages, their answers set aside as a round sets them aside."""
    state = ServerState(folder / "state")
    started = time.perf_counter()
    with acting_as_server(1):
        _exchanged(post, clients, "exchange", np.zeros(payload, np.uint8), 1, state.set_aside)
    return time.perf_counter() - started


def _exchanged(
    post: Post, clients: int, step: str, blob: Blob, round: int, kept: Callable[[Blob], Blob]
) -> None:
    """Send a blob to every client and have it back. An iterator makes the messages, as in a real round."""
    names = _names(clients)
    asked = (sealed(step, blob, node_id(name), round=round, ttl=600.0) for name in names)
    got = gather_as(lambda reply: kept(opened(reply)), post.grid, asked, deadline=300.0, quorum=len(names))
    assert len(got.replies) == len(names), (got.errors, got.pending)


def _names(count: int) -> list[str]:
    return [f"client{n}" for n in range(count)]


def usage() -> dict[str, float]:
    """What this process holds (bytes) and has used (seconds)."""
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * resource.getpagesize()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "resident": resident,
        "peak": used.ru_maxrss * 1024,
        "cpu": used.ru_utime + used.ru_stime,
        "at": time.monotonic(),
    }


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    return {"median": median(seconds), "least": min(seconds), "most": max(seconds), "rounds": len(seconds)}


@contextmanager
def linked_clients(
    names: Sequence[str], folder: Path, app: Callable[[str], ClientApp], ready: Callable[[], None]
) -> Iterator[LinkGrid]:
    """The grid of a server with whole clients on it, all in this process; `ready` is called between them."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def do(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE)

    who = identity.create(folder / "server", "localhost:0", ["localhost"])

    async def begin() -> tuple[Post, grpc.aio.Server, int]:
        post = Post(who, BlobStore(folder / "blobs"))
        return post, *await listen(who, LinkService(who, post), "localhost", 0)

    post, server, port = do(begin())
    ready()
    links = []
    for name in names:
        link = _link(folder, name, credentials_of(who, name), who, f"localhost:{port}")
        link.work = Work.of(name, app(name))
        links.append(asyncio.run_coroutine_threadsafe(link.stay(), loop))
    try:
        yield post.grid
    finally:
        for staying in links:
            staying.cancel()
        do(server.stop(0))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10.0)
