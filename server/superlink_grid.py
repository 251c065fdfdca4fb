"""The grid of a run on our SuperLink, by the names of clients: woken rather than polled, and lossless.

A SuperLink that is killed goes on where it was, but what it was just handing over is gone: Flower notes a
message as delivered before it is. So what has had no answer some time after a restart is sent again. Clients
know a request that they have answered, and give the same answer (`client/work.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from flwr.app import Message
from flwr.serverapp import Grid

from renga.protocol.flower_internals import answering
from renga.protocol.flower_programs import Program
from renga.protocol.link_carrier import LinkClock
from renga.protocol.named_grid import NamedGrid, Names
from renga.protocol.names import node_id
from renga.server.fleet_front import FleetFront

LOOK = 2.0  # seconds between two looks for replies: nobody hears of errors that Flower makes itself
AGAIN = 20.0  # seconds after a restart of the SuperLink in which nodes find it again


class SuperLinkGrid(NamedGrid):
    """`inner` by client names. program: the SuperLink's present process; attached: who is here for certain,
    if that is known."""

    def __init__(
        self,
        inner: Grid,
        names: Names,
        front: FleetFront,
        program: Callable[[], Program],
        attached: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        super().__init__(inner, names)
        self._front = front
        self._attached = attached
        self._program = program
        self._served_by = program()
        self._again_at: float | None = None
        self._sent: dict[str, Message] = {}
        self._copies: dict[str, str] = {}  # id of what was sent again -> id that is waited for
        self.clock = clock = LinkClock(LOOK)
        front.on_reply = clock.ring

    def get_node_ids(self) -> list[int]:
        found = super().get_node_ids()
        here = None if self._attached is None else {node_id(name) for name in self._attached()}
        return [node for node in found if here is None or node in here]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        messages = list(messages)
        ids = super().push_messages(messages)
        self._sent = {id: message for id, message in zip(ids, messages) if id}
        self._copies = {}
        self._front.news()
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        asked = list(message_ids)
        self._send_again(asked)
        copies = [copy for copy, id in self._copies.items() if id in asked]
        replies: dict[str, Message] = {}
        for reply in super().pull_messages([*asked, *copies]):
            id = reply.metadata.reply_to_message_id
            if id in self._copies:
                id = self._copies[id]
                reply = answering(reply, id)
            replies.setdefault(id, reply)
        return list(replies.values())

    def _send_again(self, waiting: list[str]) -> None:
        if (now := self._program()) is not self._served_by:
            self._served_by, self._again_at = now, time.monotonic() + AGAIN
        if self._again_at is None or time.monotonic() < self._again_at:
            return
        self._again_at = None
        lost = [id for id in waiting if id in self._sent]
        copies = super().push_messages([self._sent[id] for id in lost])
        self._copies |= {copy: id for copy, id in zip(copies, lost) if copy}
        self._front.news()
