"""What a client weighs while it waits, and what an edge install weighs on the disk.

Three processes in turn, each measured by what the kernel says of it: one that has imported what a client
imports, one that has loaded the model too, and a client as `renga join` starts it, attached to a server and
idle. The difference of the last two is what it costs to be a client.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution, requires
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from renga.protocol import link_pb2 as wire
from renga.protocol.blobs import BlobStore
from renga.protocol.invitations import Ticket
from renga.server import identity
from renga.server.link import Post
from renga.server.service import LinkService, listen
from renga.simulations.units import size

AT_MOST = 30_000_000  # bytes beyond a process with the same libraries and the same model
SETTLING = 3.0  # seconds that a client is left alone before it is looked at
TEXTS = 20


def measure(reference: str, *, repeats: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Bytes of each kind of process with the model `reference`, medians of `repeats`."""
    found: dict[str, list[int]] = {"imported": [], "loaded": [], "idle": []}
    for turn in range(repeats):
        tell(f"run {turn + 1} of {repeats}")
        found["imported"].append(_of_process(_import))
        found["loaded"].append(_of_process(_load, reference))
        found["idle"].append(_idle(reference))
    middle = {kind: int(statistics.median(sizes)) for kind, sizes in found.items()}
    least = {kind: [min(sizes), max(sizes)] for kind, sizes in found.items()}
    extra = sorted(set(_closure("renga", {"server"})) - set(_closure("renga", set())))
    return {
        "benchmark": "edge",
        "model": reference,
        "bytes": middle,
        "spread": least,
        "client_bytes": middle["idle"] - middle["loaded"],
        "disk": {name: _on_disk(name) for name in sorted(_closure("renga", set()))},
        "server_only": {name: _on_disk(name) for name in extra},
    }


def targets(result: Mapping[str, Any]) -> list[tuple[str, bool, str]]:
    """Each target, whether it is met, and what was measured."""
    more = result["client_bytes"]
    return [
        (f"an idle client takes at most {size(AT_MOST)} beyond them", more <= AT_MOST, size(max(0, more)))
    ]


def _of_process(work: Callable[..., None], *arguments: Any) -> int:
    """What a process holds when `work` is done."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=work, args=(*arguments, there))
    process.start()
    there.close()
    here.recv()
    found = _resident(process.pid)
    here.send("end")
    process.join(20)
    return found


def _import(orders: Connection) -> None:
    import renga.joining  # noqa: F401

    _wait(orders)


def _load(reference: str, orders: Connection) -> None:
    import renga.joining  # noqa: F401
    from renga.models.weights import SharedWeights

    weights = SharedWeights.load(reference)
    _wait(orders)
    del weights


def _wait(orders: Connection) -> None:
    time.sleep(SETTLING)
    orders.send("there")
    orders.recv()


def _idle(reference: str) -> int:
    """What a client holds that is attached to a server of this process, and has nothing to do."""
    with tempfile.TemporaryDirectory(prefix="renga-bench-") as work:
        folder = Path(work)
        (folder / "data.jsonl").write_text(
            "".join(json.dumps({"prompt": f"q{n}", "response": f"a{n}"}) + "\n" for n in range(TEXTS))
        )
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()

        def do(what: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(what, loop).result(120)

        post, server, ticket = do(_up(folder / "server", reference))
        process = multiprocessing.get_context("spawn").Process(
            target=_join, args=(reference, folder, ticket), daemon=True
        )
        process.start()
        try:
            while not list(post.attached()):
                if not process.is_alive():
                    raise RuntimeError("the client ended; it has said why")
                time.sleep(0.1)
            time.sleep(SETTLING)
            return _resident(process.pid)
        finally:
            process.terminate()
            process.join(20)
            do(server.stop(0))
            loop.call_soon_threadsafe(loop.stop)


async def _up(folder: Path, reference: str) -> tuple[Post, Any, Ticket]:
    who = identity.create(folder, "localhost:0", ["localhost"])
    post = Post(who, BlobStore(folder / "blobs"))
    host = wire.Model(name="host", reference=reference)
    server, port = await listen(who, LinkService(who, post, [host]), "localhost", 0)
    return post, server, who.invite("edge", f"localhost:{port}")


def _join(reference: str, folder: Path, ticket: Ticket) -> None:
    from renga.deployment import ClientConfig, read_deployment
    from renga.joining import join

    options = {"edge.model": reference, "data": str(folder / "data.jsonl")}
    join(
        read_deployment(ClientConfig, None, options, {}),
        folder / "client",
        "",
        ticket,
        tell=lambda line: None,
    )


def _resident(process: int | None) -> int:
    """Bytes of memory that a process holds, what it shares with others included."""
    with open(f"/proc/{process}/smaps_rollup") as file:
        found = re.search(r"^Rss:\s+(\d+) kB", file.read(), re.MULTILINE)
    assert found is not None
    return 1024 * int(found.group(1))


def _closure(name: str, extras: set[str]) -> Iterator[str]:
    """The installed packages that `name` needs, itself included, by their canonical names."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    met: set[tuple[str, str]] = set()
    waiting = [(name, extra) for extra in ("", *sorted(extras))]
    while waiting:
        one, extra = waiting.pop()
        if (one, extra) in met:
            continue
        met.add((one, extra))
        try:
            needed = requires(one) or []
        except PackageNotFoundError:
            continue
        for line in needed:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                found = str(canonicalize_name(requirement.name))
                waiting += [(found, inner) for inner in ("", *requirement.extras)]
    yield from {one for one, _ in met}


def _on_disk(name: str) -> int:
    """Bytes of a package's files, 0 if it isn't installed as files."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return 0
    paths = (Path(str(file.locate())) for file in files)
    return sum(path.stat().st_size for path in paths if path.is_file())
