"""The link carrier: Flower's Grid over the standing streams of attached clients.

The strategy runs in a thread of its own and knows nothing of streams. What it pushes is written down as
blobs and offered to whoever carries it (`Courier`, the server's side of the link); replies come back from
there, and wake it at once. A message to a client that is away waits until the client is back or the message
too old.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, cast

from flwr.app import Error, Message
from flwr.serverapp import Grid

from renga.errors import RefusedPayload
from renga.protocol.blobs import BlobStore
from renga.protocol.failure import one_line
from renga.protocol.flower_internals import (
    CLIENT_FAILED,
    Run,
    deflate,
    empty_run,
    inflate,
    set_message_id,
    stamped,
    without_content,
)
from renga.protocol.grid_calls import create_message, send_and_receive
from renga.protocol.link_frames import packed, unpacked
from renga.protocol.names import node_id


@dataclass(frozen=True)
class Parcel:
    """A message to a client: where its bytes are, and until when (monotonic seconds) it is wanted."""

    id: str
    name: str
    kind: str
    round: int
    digest: str
    size: int
    until: float


class Courier(Protocol):
    """Who carries parcels; called from the strategy's thread."""

    def attached(self) -> Iterable[str]:
        """Names of the clients that are there now."""
        ...

    def offer(self, parcel: Parcel) -> None:
        """Take a parcel to its client as soon as it is there."""
        ...

    def withdraw(self, id: str) -> None:
        """Nobody waits for this one any more."""
        ...


@dataclass
class LinkClock:
    """Real time, with waits that end when a reply has come or somebody has attached, or after `longest`
    seconds."""

    longest: float = 60.0
    _news: threading.Condition = field(default_factory=threading.Condition)
    _count: int = 0
    _seen: int = 0

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def wait(self, seconds: float) -> None:
        """Let at most this much time pass; return at once if there was news since the last wait."""
        with self._news:
            if self._count == self._seen:
                self._news.wait(max(0.0, min(seconds, self.longest)))
            self._seen = self._count

    def ring(self) -> None:
        """Say that there is news."""
        with self._news:
            self._count += 1
            self._news.notify_all()


class LinkGrid(Grid):
    """A Grid over the clients that a courier can reach.

    `traffic` counts bytes by client name, [down, up].
    """

    create_message = create_message
    send_and_receive = send_and_receive

    def __init__(self, courier: Courier, blobs: BlobStore, *, run_id: int = 1) -> None:
        self.clock = LinkClock()
        self.traffic: dict[str, list[int]] = {}
        self._courier = courier
        self._blobs = blobs
        self._run = empty_run(run_id)
        self._lock = threading.Lock()
        self._sent: dict[str, tuple[Parcel, Message]] = {}
        self._replies: dict[str, tuple[str, str]] = {}  # by request: (digest, error)

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def get_node_ids(self) -> list[int]:
        """The attached clients, in the order of their names."""
        return [node_id(name) for name in sorted(self._courier.attached())]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Send messages; their ids in order, None for a client that is not attached.

        They are written down one after another: of an iterator that makes them, one at a time is in memory.
        """
        names = {node_id(name): name for name in self._courier.attached()}
        ids: list[str | None] = []
        for message in messages:
            (wire,) = deflate([stamped(message, time.time())])
            set_message_id(message, wire.id)
            name = names.get(message.metadata.dst_node_id)
            ids.append(wire.id if name else None)
            if name is None:
                continue
            digest, size = self._blobs.add(packed(wire))
            parcel = Parcel(
                id=wire.id,
                name=name,
                kind=message.metadata.message_type,
                round=_number(message.metadata.group_id),
                digest=digest,
                size=size,
                until=self.clock.monotonic() + message.metadata.ttl,
            )
            with self._lock:
                self._sent[wire.id] = (parcel, without_content(message))
                self.traffic.setdefault(name, [0, 0])[0] += size
            self._courier.offer(parcel)
        return cast(list[str], ids)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterator[Message]:
        """The replies that have come, each given once, and read from the disk as it is asked for."""
        for id in message_ids:
            with self._lock:
                reply = self._replies.pop(id, None)
                parcel, request = self._sent.get(id, (None, None))
                if parcel and reply:
                    del self._sent[id]
            if reply is None or parcel is None or request is None:
                continue
            self._blobs.drop(parcel.digest)
            yield self._opened(parcel, request, *reply)

    def forget(self) -> None:
        """Withdraw all that was sent: a round is over, and who answers now answers in vain."""
        with self._lock:
            parcels = [parcel for parcel, _ in self._sent.values()]
            replies = list(self._replies.values())
            self._sent.clear()
            self._replies.clear()
        for parcel in parcels:
            self._courier.withdraw(parcel.id)
            self._blobs.drop(parcel.digest)
        for digest, _ in replies:
            if digest:
                self._blobs.drop(digest)

    # For the courier, from any thread.

    def wanted(self, id: str) -> Parcel | None:
        """The parcel that a reply to `id` would answer, if it is still waited for and has no reply yet."""
        with self._lock:
            found = self._sent.get(id)
            return found[0] if found and id not in self._replies else None

    def deliver(self, id: str, *, digest: str = "", size: int = 0, error: str = "") -> None:
        """A reply has come: its blob, or why there is none."""
        with self._lock:
            if id not in self._sent or id in self._replies:
                return
            self._replies[id] = (digest, error)
            self.traffic.setdefault(self._sent[id][0].name, [0, 0])[1] += size
        self.clock.ring()

    def _opened(self, parcel: Parcel, request: Message, digest: str, error: str) -> Message:
        if not error:
            try:
                reply = inflate(unpacked(self._blobs.mapped(digest)))
                if reply.metadata.reply_to_message_id != parcel.id:
                    raise RefusedPayload("the reply answers another message")
                return reply
            except (RefusedPayload, ValueError, TypeError, KeyError) as problem:
                error = problem.message if isinstance(problem, RefusedPayload) else "the reply can't be read"
            finally:
                self._blobs.drop(digest)
        return Message(Error(CLIENT_FAILED, one_line(error)), reply_to=request)


def _number(group: str) -> int:
    return int(group) if group.isdecimal() else 0
