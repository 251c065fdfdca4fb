"""The local carrier: a Flower Grid inside one process, for `renga simulate`, tests and the demo.

It runs the same ServerApp and ClientApp as every other carrier, and sends every message through its
wire form in both directions: what can't be carried fails here too, no object is shared between the
two sides, and the bytes counted are those of a deployment. Clients run one after another on the
thread that pulls, in an order that depends on nothing but the messages, because they share one base
model and because the same seed must give the same bytes. Work takes no virtual time; only faults do.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import time
from typing import cast

from flwr.app import Context, Error, Message, RecordDict, UserConfigValue
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from renga.errors import RengaError
from renga.protocol.clock import VirtualClock
from renga.protocol.failure import FailureLog, failure_reason
from renga.protocol.faults import Fault
from renga.protocol.flower_internals import (
    CLIENT_FAILED,
    SERVER_NODE_ID,
    Run,
    Wire,
    acting_as_server,
    deflate,
    empty_run,
    inflate,
    set_message_id,
    stamped,
)
from renga.protocol.grid_calls import create_message, send_and_receive
from renga.protocol.names import node_id

# Messages carry a date. This one starts at a fixed moment and goes with the virtual clock, a
# microsecond per message, so that two runs give the same bytes and no two messages the same id.
EPOCH = 1_767_225_600.0


@dataclass(frozen=True)
class Traffic:
    """Bytes and messages of one client: down from the server, up from the client."""

    down: int = 0
    up: int = 0
    messages_down: int = 0
    messages_up: int = 0


@dataclass(frozen=True)
class _Sent:
    name: str
    wire: Wire
    at: float
    ttl: float


@dataclass(frozen=True)
class _Reply:
    wire: Wire
    due: float
    expires: float


class LocalGrid(Grid):
    """An in-process Grid over named clients.

    clients: name -> values for its node_config, to which {"name": name} is added.
    run_config: what every client's Context says of the run.
    fault: who drops out or comes late (renga.protocol.faults).
    on_failure: told the traceback of a failing client; the server only gets what may be said.

    `clock` is virtual and moves only when the server waits. `nodes` are the clients' Contexts, by
    name; their state lives as long as the grid. `traffic` counts bytes by name.
    """

    create_message = create_message
    send_and_receive = send_and_receive

    def __init__(
        self,
        client_app: ClientApp,
        clients: Mapping[str, Mapping[str, UserConfigValue]],
        *,
        run_config: Mapping[str, UserConfigValue] | None = None,
        fault: Fault | None = None,
        clock: VirtualClock | None = None,
        on_failure: FailureLog | None = None,
        run_id: int = 1,
    ) -> None:
        self.clock = VirtualClock() if clock is None else clock
        self.nodes: Mapping[str, Context] = {
            name: Context(
                run_id=run_id,
                node_id=node_id(name),
                node_config={**clients[name], "name": name},
                state=RecordDict(),
                run_config=dict(run_config or {}),
            )
            for name in sorted(clients)
        }
        self.traffic: dict[str, Traffic] = {name: Traffic() for name in self.nodes}
        self._names = {context.node_id: name for name, context in self.nodes.items()}
        self._client_app = client_app
        self._fault = fault
        self._on_failure = on_failure
        self._run = empty_run(run_id)
        self._queue: deque[_Sent] = deque()
        self._replies: dict[str, _Reply] = {}
        self._stamps = 0

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def get_node_ids(self) -> list[int]:
        """All clients, in the order of their names. Here they are always connected."""
        return list(self._names)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Queue messages; their ids in order, None for an unknown node. Nobody works yet.

        The content is taken as it is now: altering it afterwards changes nothing.
        """
        messages = list(messages)
        now = self.clock.monotonic()
        self._replies = {i: reply for i, reply in self._replies.items() if reply.expires >= now}
        wires = deflate([stamped(message, self._date()) for message in messages])
        sent: list[_Sent] = []
        ids: list[str | None] = []
        for message, wire in zip(messages, wires):
            set_message_id(message, wire.id)
            name = self._names.get(message.metadata.dst_node_id)
            ids.append(None if name is None else wire.id)
            if name is not None:
                sent.append(_Sent(name, wire, now, message.metadata.ttl))
                self._count(name, down=wire.size)
        # By name, so that the order does not hang on how the server happened to list its nodes.
        self._queue.extend(sorted(sent, key=lambda item: item.name))
        return cast(list[str], ids)

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """The replies that are visible by now. It is here that clients work.

        They work until one reply is visible, or none is left to work: so the server can show its
        progress between two clients.
        """
        wanted = list(message_ids)
        while not (visible := [i for i in wanted if self._visible(i)]) and self._queue:
            self._work(self._queue.popleft())
        return [inflate(self._replies.pop(i).wire) for i in visible]

    def drain(self) -> None:
        """Let every queued message be worked on, also those whose replies nobody asked for."""
        while self._queue:
            self._work(self._queue.popleft())

    def _date(self) -> float:
        self._stamps += 1
        return EPOCH + self.clock.monotonic() + self._stamps * 1e-6

    def _visible(self, message_id: str) -> bool:
        reply = self._replies.get(message_id)
        return reply is not None and reply.due <= self.clock.monotonic() <= reply.expires

    def _count(self, name: str, *, down: int | None = None, up: int | None = None) -> None:
        old = self.traffic[name]
        self.traffic[name] = Traffic(
            old.down + (down or 0),
            old.up + (up or 0),
            old.messages_down + (down is not None),
            old.messages_up + (up is not None),
        )

    def _work(self, sent: _Sent) -> None:
        request = inflate(sent.wire)
        # The client sees today's date, from which its reply's ttl is derived by Flower.
        request.metadata.created_at = time()
        kind = request.metadata.message_type
        effect = self._fault(sent.name, kind, _round(request)) if self._fault is not None else None
        if effect == "drop":
            return
        wire = self._answer(sent, request)
        self._count(sent.name, up=wire.size)
        if effect == "lose":
            return
        due = sent.at + (float(effect) if effect is not None else 0.0)
        self._replies[sent.wire.id] = _Reply(wire, due, sent.at + sent.ttl)
        if due > self.clock.monotonic():
            self.clock.alarm(due)

    def _answer(self, sent: _Sent, request: Message) -> Wire:
        # What a ClientApp does to the request must not change whom the reply answers.
        asked = stamped(request, request.metadata.created_at)
        try:
            reply = self._client_app(request, self.nodes[sent.name])
            if not isinstance(reply, Message) or reply.metadata.reply_to_message_id != sent.wire.id:
                raise RengaError("the ClientApp returned something else than a reply to its message")
            return deflate([stamped(reply, self._date(), sent.ttl)])[0]
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the edge of the client's side
            if self._on_failure is not None:
                self._on_failure(sent.name, traceback.format_exc())
            failed = Message(Error(CLIENT_FAILED, failure_reason(error)), reply_to=asked)
            return deflate([stamped(failed, self._date(), sent.ttl)])[0]


def _round(message: Message) -> int:
    group = message.metadata.group_id
    return int(group) if group.isdecimal() else 0


def server_context(run_config: Mapping[str, UserConfigValue] | None = None, *, run_id: int = 1) -> Context:
    """The Context that Flower gives a ServerApp: the server's node id, no node config, empty state."""
    return Context(
        run_id=run_id,
        node_id=SERVER_NODE_ID,
        node_config={},
        state=RecordDict(),
        run_config=dict(run_config or {}),
    )


def run_server(server_app: ServerApp, grid: Grid, context: Context) -> Context:
    """Run a ServerApp to its end in this process; returns the Context, whose state it may have filled.

    Messages that it sent last without waiting for replies are still worked on. What it raises is raised.
    """
    with acting_as_server(context.run_id):
        server_app(grid, context)
        if isinstance(grid, LocalGrid):
            grid.drain()
    return context
