"""What each carrier costs by itself: a round without work, an idle client, and payloads of an adapter's size.

Every carrier runs as it does in earnest, on this machine: over TLS where it has TLS, with Flower's own
processes where they are Flower's. Clients give back what they were sent, each in a form of its own, since
Flower sends equal bytes once. Carriers run one after another, each in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from renga.client.ledger import Ledger
from renga.client.outbox import Outbox
from renga.client.policy import Policy
from renga.client.supernode import SuperNode
from renga.client.work import Work
from renga.errors import RengaError
from renga.protocol.envelope import MESSAGE_TYPES, opened, sealed, sealed_reply
from renga.protocol.flower_internals import acting_as_server
from renga.protocol.gather import gather, wait_for_nodes
from renga.protocol.local_carrier import LocalGrid
from renga.protocol.named_grid import NamedGrid
from renga.protocol.names import node_id
from renga.server import identity
from renga.server.superlink import SuperLink
from renga.simulations.bench_link import credentials_of, linked_clients
from renga.simulations.ray_carrier import simulated

STEPS = ("learn", "answer", "exchange", "judge")
CARRIERS = ("local", "link", "ray", "superlink")
PATIENCE = 600.0


@dataclass
class Running:
    """A carrier with its clients. `bytes_of`: bytes over the wire so far, both ways, if it is counted."""

    grid: Grid
    bytes_of: Callable[[], int] | None = None


def measure(
    carriers: Sequence[str],
    clients: Sequence[int],
    megabytes: Sequence[int],
    rounds: int,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Each carrier with each number of clients: `rounds` without work, then one exchange of each size."""
    found = []
    for count in clients:
        for carrier in carriers:
            tell(f"{carrier}, {count} clients")
            here, there = multiprocessing.Pipe()
            child = multiprocessing.get_context("spawn").Process(
                target=_measured, args=(there, carrier, count, list(megabytes), rounds)
            )
            child.start()
            there.close()
            try:
                found.append(here.recv())
            except EOFError:
                found.append({"carrier": carrier, "clients": count, "failed": "its process ended"})
            child.join(60)
    return {"benchmark": "carriers", "cores": os.cpu_count(), "found": found}


def _measured(out: Any, carrier: str, count: int, megabytes: list[int], rounds: int) -> None:
    try:
        with tempfile.TemporaryDirectory(prefix="renga-bench-") as work, acting_as_server(1):
            out.send(costs(carrier, count, megabytes, rounds, Path(work)))
    except RengaError as error:
        out.send({"carrier": carrier, "clients": count, "failed": error.message})


def costs(carrier: str, count: int, megabytes: list[int], rounds: int, folder: Path) -> dict[str, Any]:
    """Of one carrier with so many clients, measured here (inside `acting_as_server`). Raises RengaError."""
    names = [f"client{number:02d}" for number in range(count)]
    memory: dict[str, int] = {}

    def ready() -> None:  # the server's side is there, its clients are not
        memory["before"] = _memory()

    with KINDS[carrier](names, folder, ready) as running:
        grid = running.grid
        wait_for_nodes(grid, names, timeout=PATIENCE)
        _round(grid, names, 0)  # what is done once is done
        time.sleep(1.0)
        idle, used = _memory(), _processor()
        seconds = [_round(grid, names, number) for number in range(1, rounds + 1)]
        used = _processor() - used
        payloads = []
        for size in megabytes:
            before = running.bytes_of() if running.bytes_of else 0
            blob = np.random.default_rng(size).integers(0, 256, size * 1_000_000, np.uint8)
            took = _exchange(grid, names, "exchange", blob, rounds + 1)
            carried = running.bytes_of() - before if running.bytes_of else None
            payloads.append({"megabytes": size, "seconds": took, "bytes": carried})
    return {
        "carrier": carrier,
        "clients": count,
        "round_seconds": median(seconds),
        "round_processor_seconds": used / rounds,
        "idle_bytes_per_client": (idle - memory["before"]) / count,
        "payloads": payloads,
    }


def _round(grid: Grid, names: Sequence[str], number: int) -> float:
    """Seconds of a round's four exchanges with next to nothing in them."""
    return sum(_exchange(grid, names, step, np.zeros(64, np.uint8), number) for step in STEPS)


def _exchange(grid: Grid, names: Sequence[str], step: str, blob: np.ndarray[Any, Any], number: int) -> float:
    started = time.perf_counter()
    requests = (sealed(step, blob, node_id(name), round=number + 1, ttl=PATIENCE) for name in names)
    got = gather(grid, requests, deadline=PATIENCE, quorum=len(names))
    if len(got.replies) < len(names):
        raise RengaError(f"{len(got.replies)} of {len(names)} replied: {[*got.errors.values()][:1]}")
    return time.perf_counter() - started


def echo(name: str) -> ClientApp:
    """A client that gives back what it is sent, its name mixed in."""
    app = ClientApp()
    mark = np.uint8(zlib.crc32(name.encode()) & 0xFF | 1)

    def same(message: Message, context: Context) -> Message:
        return sealed_reply(opened(message) ^ mark, message)

    for kind in MESSAGE_TYPES.values():
        family, _, step = kind.partition(".")
        getattr(app, family)(step)(same)
    return app


@contextmanager
def _local(names: Sequence[str], folder: Path, ready: Callable[[], None]) -> Iterator[Running]:
    ready()
    yield Running(LocalGrid(echo("all"), {name: {} for name in names}))


@contextmanager
def _link(names: Sequence[str], folder: Path, ready: Callable[[], None]) -> Iterator[Running]:
    with linked_clients(names, folder, echo, ready) as grid:
        yield Running(grid, lambda: sum(down + up for down, up in grid.traffic.values()))


@contextmanager
def _superlink(names: Sequence[str], folder: Path, ready: Callable[[], None]) -> Iterator[Running]:
    who = identity.create(folder / "server", "localhost:0", ["localhost"])
    superlink = SuperLink(who, folder / "superlink", lambda said: None)
    with ExitStack() as over:
        over.callback(superlink.stop)
        port = superlink.start("127.0.0.1", 0, ["localhost"])
        ready()
        for name in names:
            credentials = credentials_of(who, name)
            superlink.admit(name, credentials.key.public_key())
            place = folder / name
            outbox = Outbox("superlink", Policy(), Ledger(place / "ledger.jsonl"))
            node = SuperNode(
                credentials, f"localhost:{port}", place, Work.of(name, echo(name)), outbox, lambda said: None
            )
            over.callback(node.stop)
        with superlink.grid() as grid:
            yield Running(grid, lambda: sum(superlink.traffic()))


@contextmanager
def _ray(names: Sequence[str], folder: Path, ready: Callable[[], None]) -> Iterator[Running]:
    resources = {"num-supernodes": len(names), "client-resources-num-cpus": 1}
    client = "renga.simulations.bench_carriers:actor"
    with simulated(folder, client, {}, resources) as grid:
        ready()
        known = dict(zip(sorted(grid.get_node_ids()), names))
        while len(known) < len(names):
            time.sleep(0.5)
            known = dict(zip(sorted(grid.get_node_ids()), names))
        yield Running(NamedGrid(grid, lambda nodes: {node: known[node] for node in nodes}))


KINDS = {"local": _local, "link": _link, "ray": _ray, "superlink": _superlink}

actor = echo("actor")  # what Ray's actors run


def _memory() -> int:
    """Bytes that this process and all under it hold, shared pages counted once."""
    total = 0
    for process in _family():
        try:
            with open(f"/proc/{process}/smaps_rollup") as lines:
                total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except OSError:
            continue
    return total


def _processor() -> float:
    """Seconds of processor time that this process and all under it have used, those that ended included."""
    total = 0
    for process in _family():
        try:
            with open(f"/proc/{process}/stat") as file:
                total += sum(map(int, file.read().rpartition(")")[2].split()[11:15]))
        except OSError:
            continue
    return total / os.sysconf("SC_CLK_TCK")


def _family() -> set[int]:
    """This process and all that descend from it."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found
