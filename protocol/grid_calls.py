"""Two calls that Flower's Grid asks for and that every Grid of ours answers in the same way.

A Grid takes them as its own:

    class SomeGrid(Grid):
        create_message = create_message
        send_and_receive = send_and_receive
"""

from __future__ import annotations

from collections.abc import Iterable

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from renga.protocol.clock import clock_of


def create_message(
    grid: Grid,
    content: RecordDict,
    message_type: str,
    dst_node_id: int,
    group_id: str,
    ttl: float | None = None,
) -> Message:
    """Deprecated by Flower, and asked for by its Grid: build a `Message` instead."""
    return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)


def send_and_receive(
    grid: Grid, messages: Iterable[Message], *, timeout: float | None = None
) -> list[Message]:
    """The replies within `timeout` seconds of the grid's clock, or if it is None within the longest ttl sent;
    in the order of their nodes, error replies among them."""
    messages = list(messages)
    lifetime = max((message.metadata.ttl for message in messages), default=0.0)
    clock = clock_of(grid)
    end = clock.monotonic() + (lifetime if timeout is None else timeout)
    waiting = {id for id in grid.push_messages(messages) if id}
    replies: list[Message] = []
    while waiting:
        arrived = list(grid.pull_messages(sorted(waiting)))
        replies += arrived
        waiting -= {reply.metadata.reply_to_message_id for reply in arrived}
        if not arrived:
            left = end - clock.monotonic()
            if left <= 0:
                break
            clock.wait(left)
    return sorted(replies, key=lambda reply: reply.metadata.src_node_id)
