"""Send messages to clients and gather their replies: deadline, quorum, grace.

Public Grid API only, so it works over every carrier. Flower's own `send_and_receive` waits for all
replies or for the whole timeout; a round of ours goes on as soon as enough clients have answered and
the others had their grace.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from flwr.app import Message
from flwr.serverapp import Grid

from renga.errors import RengaError
from renga.protocol.clock import Clock, clock_of
from renga.protocol.failure import one_line
from renga.protocol.names import node_id

T = TypeVar("T")


@dataclass(frozen=True)
class Gathered(Generic[T]):
    """What came back. Sorted by node, so that the order of arrival changes nothing."""

    replies: dict[int, T]
    errors: dict[int, str]
    pending: list[int]
    seconds: float


def gather_as(
    kept: Callable[[Message], T],
    grid: Grid,
    messages: Iterable[Message],
    *,
    deadline: float,
    quorum: int,
    grace: float = 0.0,
    clock: Clock | None = None,
    on_reply: Callable[[int, Message], None] | None = None,
) -> Gathered[T]:
    """Send the messages, one per node, and wait for the replies, of which `kept` is kept.

    Messages that are made while they are sent (an iterator) are held no longer than the carrier holds them,
    replies no longer than `kept` takes: large ones are never all in memory.

    It returns when every node has answered or failed, `grace` seconds after `quorum` good replies
    were in, or after `deadline` seconds; a reply that comes at that very moment still counts.
    `on_reply(node, message)` is called on each arrival, error replies included, in order of arrival.
    `clock` defaults to the one that the grid brings along.

    Raises ValueError when two messages go to one node: replies are told apart by node.
    """
    clock = clock_of(grid) if clock is None else clock
    start = clock.monotonic()
    waiting, errors = _push(grid, messages)
    replies: dict[int, T] = {}
    end = start + deadline
    graced = False
    while waiting:
        arrived = 0
        for reply in grid.pull_messages(list(waiting)):
            node = waiting.pop(reply.metadata.reply_to_message_id, None)
            if node is None:
                continue
            arrived += 1
            if (reason := _refusal(node, reply)) is not None:
                errors[node] = reason
            else:
                replies[node] = kept(reply)
            if on_reply is not None:
                on_reply(node, reply)
            del reply  # before the next one is read

        now = clock.monotonic()
        if not graced and len(replies) >= quorum:
            graced, end = True, min(end, now + grace)
        # While replies keep coming no time is waited: a virtual clock stands still until all who
        # are not late have answered.
        if not waiting or now > end or (now == end and not arrived):
            break
        if not arrived:
            clock.wait(end - now)
    return Gathered(
        dict(sorted(replies.items())),
        dict(sorted(errors.items())),
        sorted(waiting.values()),
        clock.monotonic() - start,
    )


def _itself(reply: Message) -> Message:
    return reply


gather = partial(gather_as, _itself)
"""`gather_as` for replies that are kept as they came."""


def _push(grid: Grid, messages: Iterable[Message]) -> tuple[dict[str, int], dict[int, str]]:
    nodes: list[int] = []

    def noted() -> Iterator[Message]:
        for message in messages:
            nodes.append(message.metadata.dst_node_id)
            yield message

    # Flower's own grid goes over them twice, our carriers once. Ids come back in order, None for a message
    # that was not accepted; when the batch as a whole was too large none come back at all.
    passing: Iterable[Message] = noted()
    if isinstance(messages, Sequence):
        passing = list(passing)
        _once_each(nodes)
    ids: list[str | None] = list(grid.push_messages(passing))
    _once_each(nodes)
    if len(ids) != len(nodes):
        ids = [None] * len(nodes)
    waiting = {message_id: node for message_id, node in zip(ids, nodes) if message_id}
    errors = {node: "the message was not accepted" for message_id, node in zip(ids, nodes) if not message_id}
    return waiting, errors


def _once_each(nodes: Sequence[int]) -> None:
    if len(set(nodes)) != len(nodes):
        raise ValueError("gather: two messages for the same node")


def _refusal(node: int, reply: Message) -> str | None:
    # Error replies may be made by the server's own side in the node's name (Flower's SuperLink does
    # so when a node is gone), hence the mapping by the id of the message that was answered.
    if reply.has_error():
        reason = one_line(reply.error.reason or "") or "no reason given"
        return f"[{reply.error.code}] {reason}"
    if reply.metadata.src_node_id != node:
        return "the reply comes from another node"
    return None


def wait_for_nodes(
    grid: Grid, wanted: Collection[str] | int, *, timeout: float, clock: Clock | None = None
) -> list[int]:
    """The ids of the connected nodes, sorted, once all the named clients or that many of them are there.

    With names only the named ones are returned; they hold for carriers whose node ids are made from
    names (`renga.protocol.names.node_id`). Raises RengaError after `timeout` seconds.
    """
    if isinstance(wanted, str):
        raise TypeError("wait_for_nodes: a collection of names, not one name")
    clock = clock_of(grid) if clock is None else clock
    start = clock.monotonic()
    while True:
        present = set(grid.get_node_ids())
        if isinstance(wanted, int):
            if len(present) >= wanted:
                return sorted(present)
            missing = f"{len(present)} of {wanted} clients are connected"
        else:
            absent = sorted(name for name in wanted if node_id(name) not in present)
            if not absent:
                return sorted(node_id(name) for name in wanted)
            shown = ", ".join(absent[:5]) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
            missing = f"{len(wanted) - len(absent)} of {len(wanted)} clients are connected; missing: {shown}"
        left = start + timeout - clock.monotonic()
        if left <= 0:
            raise RengaError(
                f"{missing}, after {timeout:g} s",
                hint="start the missing clients, or lower the number wanted",
            )
        clock.wait(left)
