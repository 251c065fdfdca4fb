"""The coordinating server: one port, one state folder, and rounds that an operator starts.

The loop serves clients; a run of training is a thread that plays rounds over the grid. Every round is durable
(see `server/state.py`), so that a server that was killed goes on with `train --resume`, or without.
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from flwr.serverapp import Grid

from renga.errors import RefusedPayload, RengaError, UsageError
from renga.protocol import link_pb2 as wire
from renga.protocol.certificates import Role
from renga.protocol.invitations import write_ticket
from renga.protocol.link_pb2_grpc import OperatorServicer
from renga.protocol.local_carrier import run_server, server_context
from renga.protocol.versions import PROTOCOL, software
from renga.server.access import identified, refuse
from renga.server.app import server_app
from renga.server.identity import ServerIdentity
from renga.server.link import Post
from renga.server.state import ServerState
from renga.server.strategy import Federation, Told
from renga.server.superlink import SuperLink

log = logging.getLogger("renga.server")

Context = grpc.aio.ServicerContext[Any, Any]
Build = Callable[[Callable[[], Sequence[str]], int, Callable[[Told], None]], Federation]

OPERATORS = frozenset({Role.OPERATOR})
KEPT_EVENTS = 10_000


@dataclass
class Run:
    """A run of training: what has happened, and whether it is over."""

    number: int
    rounds: int
    events: list[dict[str, Any]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    over: bool = False


class Coordinator:
    """Starts and watches runs. `build` makes the federation for (names of its clients, rounds, listener);
    `grid` is what carries a run's messages, the link if nothing else is said."""

    def __init__(
        self,
        who: ServerIdentity,
        post: Post,
        state: ServerState,
        build: Build,
        expected: Sequence[str],
        grid: Callable[[], AbstractContextManager[Grid]] | None = None,
    ) -> None:
        self._who = who
        self._post = post
        self._state = state
        self._build = build
        self._grid = grid or (lambda: nullcontext(post.grid))
        self._expected = tuple(expected)
        self._loop = asyncio.get_running_loop()
        self._thread: threading.Thread | None = None
        self._since = time.time()
        self.run: Run | None = None

    @property
    def training(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def train(self, rounds: int, resume: bool) -> Run:
        """Begin `rounds` more rounds, or go on to where the last run was to end.

        Raises UsageError if a run is going on, or nobody is there to take part.
        """
        if self.training:
            raise UsageError("a run is going on already", hint="renga status")
        done, planned = self._state.standing().round, self._planned()
        if resume and planned <= done:
            raise UsageError("there is no run to go on with", hint="renga train --rounds N")
        goal = planned if resume else done + rounds
        if not self._names():
            raise UsageError("no client is attached", hint="start one with renga join")
        self._plan(goal)
        self.run = Run(done + 1, goal)
        self._thread = threading.Thread(target=self._play, args=(self.run,), name="rounds", daemon=True)
        self._thread.start()
        return self.run

    def status(self) -> dict[str, Any]:
        """Who is here, in which cohort, the last round, versions, health."""
        standing, records = self._state.standing(), self._state.records()
        hellos = self._post.hellos()
        known = {k.name for k in self._who.registry.everybody() if k.role is Role.CLIENT and not k.revoked}
        cohorts: dict[str, list[str]] = {}
        for name, hello in hellos.items():
            cohorts.setdefault(hello.base[:12], []).append(name)
        return {
            "federation": self._who.federation,
            "software": software(),
            "protocol": PROTOCOL,
            "training": self.training,
            "round": standing.round,
            "goal": self._planned(),
            "clients": [
                {
                    "name": name,
                    "here": name in hellos,
                    "cohort": hellos[name].base[:12] if name in hellos else None,
                    "software": hellos[name].software if name in hellos else None,
                    "lends": [model.reference for model in hellos[name].models] if name in hellos else [],
                }
                for name in sorted(known | set(hellos))
            ],
            "invitations": [{"name": n, "expires": e} for n, e in self._who.registry.invitations()],
            "cohorts": cohorts,
            "health": {**_health(self._who.folder), "up_seconds": round(time.time() - self._since)},
            "last": records[-1] if records else None,
            "traffic": {name: list(both) for name, both in sorted(self._post.grid.traffic.items())},
        }

    async def watch(self, after: int) -> AsyncIterator[tuple[int, dict[str, Any]]]:
        """What happens in the run, from event `after` on, until it is over."""
        run = self.run
        while run is not None:
            run.news.clear()
            over = run.over  # asked before the events: the last one comes before it
            while after < len(run.events):
                after += 1
                yield after, run.events[after - 1]
            if over:
                return
            await run.news.wait()

    def _names(self) -> list[str]:
        return sorted(self._expected or self._post.attached())

    def _play(self, run: Run) -> None:
        def listen(told: Told) -> None:
            if told.what == "finished":
                self._post.grid.forget()
                self._publish()
            if told.what == "left_out":
                for name, reason in told.about.items():
                    self._post.leave_out(name, told.round, reason)
            self._tell(run, {"what": told.what, "round": told.round, "about": _plain(told.about)})

        try:
            federation = self._build(self._names, run.rounds, listen)
            with self._grid() as grid:
                run_server(server_app(lambda context: federation), grid, server_context())
            self._tell(run, {"what": "done", "round": run.rounds, "about": {}})
        except RengaError as error:
            log.error("the run ended: %s", error.message)
            self._tell(run, {"what": "failed", "round": 0, "about": {"reason": error.message}})
        except Exception as error:
            log.exception("the run ended")
            self._tell(run, {"what": "failed", "round": 0, "about": {"reason": type(error).__name__}})
        finally:
            self._post.grid.forget()
            run.over = True
            self._loop.call_soon_threadsafe(run.news.set)

    def _publish(self) -> None:
        """Tell clients what a finished round wrote down; whoever is away hears of it when it comes back."""
        links = [wire.Published.FromString(link) for link in self._state.published()[-1:]]
        last = self._post.last_published()
        for link in links:
            if last is None or link.round > last.round:
                self._post.publish(link)

    def _tell(self, run: Run, event: dict[str, Any]) -> None:
        if len(run.events) < KEPT_EVENTS:
            run.events.append({"at": round(time.time(), 3), **event})
        self._loop.call_soon_threadsafe(run.news.set)

    @property
    def _goal(self) -> Path:
        return self._who.folder / "goal.json"

    def _planned(self) -> int:
        try:
            return int(json.loads(self._goal.read_text())["rounds"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def _plan(self, rounds: int) -> None:
        temporary = self._goal.with_suffix(".new")
        temporary.write_text(json.dumps({"rounds": rounds}))
        temporary.replace(self._goal)


class OperatorService(OperatorServicer):
    """`renga.link.v1.Operator`. `address`: where invitations say the server is."""

    def __init__(self, who: ServerIdentity, coordinator: Coordinator, address: str) -> None:
        self._who = who
        self._coordinator = coordinator
        self._address = address

    async def Status(self, request: wire.StatusRequest, context: Context) -> wire.StatusReply:
        await identified(context, self._who.registry, OPERATORS)
        status = await asyncio.to_thread(self._coordinator.status)
        return wire.StatusReply(json=json.dumps(status).encode())

    async def Train(self, request: wire.TrainRequest, context: Context) -> wire.TrainReply:
        await identified(context, self._who.registry, OPERATORS)
        try:
            run = self._coordinator.train(request.rounds, request.resume)
        except RengaError as error:
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, error.message)
        return wire.TrainReply(run=f"{run.number}-{run.rounds}")

    async def Watch(self, request: wire.WatchRequest, context: Context) -> AsyncIterator[wire.WatchEvent]:
        await identified(context, self._who.registry, OPERATORS)
        async for number, event in self._coordinator.watch(int(request.after)):
            yield wire.WatchEvent(number=number, json=json.dumps(event).encode())

    async def Invite(self, request: wire.InviteRequest, context: Context) -> wire.InviteReply:
        await identified(context, self._who.registry, OPERATORS)
        try:
            ticket = self._who.invite(request.name, self._address)
        except (UsageError, RefusedPayload) as error:
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, error.message)
        return wire.InviteReply(line=write_ticket(ticket))


def _health(folder: Path) -> dict[str, int]:
    """The most memory that this process has held, and what is free where the state is, in bytes."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_memory_bytes": 1024 * held, "disk_free_bytes": shutil.disk_usage(folder).free}


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


async def dismiss_revoked(
    who: ServerIdentity, post: Post, superlink: SuperLink | None = None, every: float = 2.0
) -> None:
    """End the streams of clients that were revoked while they were attached, and let in their SuperNodes no
    more."""
    while True:
        await asyncio.sleep(every)
        nodes = superlink.admitted() if superlink else []
        here = sorted({*post.attached(), *nodes})
        now = time.time()
        good = {
            known.name
            for known in (who.registry.everybody() if here else ())
            if known.role is Role.CLIENT and (known.revoked is None or known.revoked > now)
        }
        for name in here:
            if name not in good:
                log.warning("%s was revoked", name)
                post.dismiss(name)
                if superlink is not None and name in nodes:
                    await asyncio.to_thread(superlink.dismiss, name)
