"""A Grid whose nodes have numbers of its own choosing, as Flower's have: a LocalGrid in disguise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from renga.protocol.flower_internals import from_node
from renga.protocol.local_carrier import LocalGrid
from renga.protocol.names import node_id


class NumberedGrid(Grid):
    """`inner` with the nodes renamed: client name -> number."""

    def __init__(self, inner: LocalGrid, numbers: Mapping[str, int]) -> None:
        self.inner = inner
        self.numbers = dict(numbers)
        self.away: set[str] = set()

    def set_run(self, run) -> None:
        self.inner.set_run(run)

    @property
    def run(self):
        return self.inner.run

    def create_message(self, content: RecordDict, message_type, dst_node_id, group_id, ttl=None) -> Message:
        raise AssertionError("deprecated")

    def get_node_ids(self) -> list[int]:
        return [number for name, number in self.numbers.items() if name not in self.away]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        names = {number: name for name, number in self.numbers.items()}
        return self.inner.push_messages(
            [
                Message(
                    m.content,
                    dst_node_id=node_id(names[m.metadata.dst_node_id]),
                    message_type=m.metadata.message_type,
                    ttl=m.metadata.ttl,
                    group_id=m.metadata.group_id,
                )
                for m in messages
            ]
        )

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        numbers = {node_id(name): number for name, number in self.numbers.items()}
        return [
            from_node(reply, numbers[reply.metadata.src_node_id])
            for reply in self.inner.pull_messages(message_ids)
        ]

    def send_and_receive(self, messages, *, timeout=None) -> list[Message]:
        raise AssertionError("not used")
