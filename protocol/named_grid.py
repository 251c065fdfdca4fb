"""A Grid of Flower's own, seen by the names of our clients.

Flower numbers its nodes as it likes; everything of ours knows clients by name (`names.node_id`). This Grid
stands between: it learns which node is which client, and readdresses what passes. The apps see no difference.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from flwr.app import Message
from flwr.serverapp import Grid

from renga.errors import RengaError
from renga.protocol.clock import Clock, SystemClock
from renga.protocol.envelope import opened, sealed
from renga.protocol.failure import one_line
from renga.protocol.faults import Fault
from renga.protocol.flower_internals import Run, from_node
from renga.protocol.gather import gather
from renga.protocol.grid_calls import create_message, send_and_receive
from renga.protocol.messages import Description
from renga.protocol.names import node_id

Silent = Callable[[int, str], None]
"""Told of a node that does not say who it is: (node, why)."""

Names = Callable[[Sequence[int]], Mapping[int, str]]
"""Whose nodes these are, as far as it is known."""

POLL = 0.1  # seconds between two looks at Flower's grid
DROPPED = "dropped: "  # how the id of a message begins that was never sent


class NamedGrid(Grid):
    """`inner` by client names.

    names: which node is which client; asked for nodes that are new. By default the nodes themselves are
    asked, which is right where every node is trusted (a simulation); where nodes have keys, say whose key
    it is. fault: messages that never arrive, for simulations (renga.protocol.faults); "lose" and delays
    drop as well. Nobody waits in real time for those who, by plan, won't answer.
    """

    create_message = create_message
    send_and_receive = send_and_receive

    def __init__(self, inner: Grid, names: Names | None = None, *, fault: Fault | None = None) -> None:
        self.clock: Clock = _Clock(self._awaited)
        self._inner = inner
        self._whose = names or (lambda nodes: ask_names(inner, nodes, SystemClock(POLL)))
        self._fault = fault
        self._names: dict[int, str] = {}
        self._nodes: dict[str, int] = {}
        self._outstanding: set[str] = set()
        self._dropped = False

    def set_run(self, run: Run) -> None:
        self._inner.set_run(run)

    @property
    def run(self) -> Run:
        return self._inner.run

    def get_node_ids(self) -> list[int]:
        """The connected clients whose names are known, in the order of their names."""
        present = set(self._inner.get_node_ids())
        if new := sorted(present - set(self._names)):
            for node, name in sorted(self._whose(new).items()):
                # A client that came back may have another number; the older one may be listed for a minute.
                self._names[node], self._nodes[name] = name, node
        here = sorted(name for name, node in self._nodes.items() if node in present)
        return [node_id(name) for name in here]

    def names(self) -> list[str]:
        """Of the connected clients, sorted."""
        self.get_node_ids()
        present = set(self._inner.get_node_ids())
        return sorted(name for name, node in self._nodes.items() if node in present)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Send messages; their ids in order, None for a client that is not there."""
        messages = list(messages)
        wanted = {node_id(name): (name, node) for name, node in self._nodes.items()}
        ids: list[str | None] = [None] * len(messages)
        passed: list[int] = []
        sent: list[Message] = []
        for place, message in enumerate(messages):
            metadata = message.metadata
            if metadata.dst_node_id not in wanted:
                continue
            name, node = wanted[metadata.dst_node_id]
            if self._fault is not None and self._fault(name, metadata.message_type, _round(message)):
                ids[place], self._dropped = f"{DROPPED}{name}", True
                continue
            passed.append(place)
            sent.append(
                Message(
                    message.content,
                    dst_node_id=node,
                    message_type=metadata.message_type,
                    ttl=metadata.ttl,
                    group_id=metadata.group_id,
                )
            )
        given: list[str | None] = list(self._inner.push_messages(sent)) if sent else []
        for place, id in zip(passed, given):
            ids[place] = id
        self._outstanding = {id for id in given if id}
        return cast(list[str], ids)

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """The replies that have come, each given once."""
        asked = [id for id in message_ids if not id.startswith(DROPPED)]
        replies = list(self._inner.pull_messages(asked)) if asked else []
        self._outstanding -= {reply.metadata.reply_to_message_id for reply in replies}
        return [self._named(reply) for reply in replies]

    def _named(self, reply: Message) -> Message:
        name = self._names.get(reply.metadata.src_node_id)
        # Error replies may be made by Flower's server in a node's stead; `gather` goes by what they answer.
        return reply if name is None else from_node(reply, node_id(name))

    def _awaited(self) -> bool:
        return bool(self._outstanding) or not self._dropped


@dataclass
class _Clock:
    """Real time while somebody may still answer; when nobody will, a wait is over at once."""

    awaited: Callable[[], bool]
    _skipped: float = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._skipped

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def wait(self, seconds: float) -> None:
        if self.awaited():
            time.sleep(min(seconds, POLL))
        else:
            self._skipped += seconds


def ask_names(
    grid: Grid, nodes: Sequence[int], clock: Clock, *, deadline: float = 120.0, silent: Silent | None = None
) -> dict[int, str]:
    """Ask nodes who they are. Those that fail or don't answer within `deadline` seconds are left out."""
    empty = np.zeros(0, np.uint8)
    requests = [sealed("describe", empty, node, round=0, ttl=deadline) for node in nodes]
    found = gather(grid, requests, deadline=deadline, quorum=len(requests), clock=clock)
    names: dict[int, str] = {}
    tell = silent or (lambda node, why: None)
    for node, reason in found.errors.items():
        tell(node, reason)
    for node in found.pending:
        tell(node, f"did not say who it is within {deadline:.0f} s")
    for node, reply in found.replies.items():
        try:
            names[node] = Description.decode(opened(reply)).name
        except RengaError as error:
            tell(node, one_line(error.message))
    return names


def _round(message: Message) -> int:
    group = message.metadata.group_id
    return int(group) if group.isdecimal() else 0
