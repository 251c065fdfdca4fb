"""A language model at the other end of a connection, with the contract of one that is here.

How frames travel is not known here: a `SessionChannel` carries them, and raises ConnectionLost when it can't.
A session then opens another channel and feeds again what it had read: nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import torch

from renga.errors import RefusedPayload, RengaError
from renga.models.contract import Answer, Clearance, Full, Prompt, Sampling, Scores, TopK, Verify, Want
from renga.models.meter import Meter
from renga.models.session_codec import NAMES, packed_ids, packed_want, read_answer
from renga.models.slots import Slots, packed_slots
from renga.models.vocabulary import Vocabulary
from renga.protocol import link_pb2 as wire
from renga.protocol.prompts import opening

HEALINGS = 3  # of one move
ANSWER_BYTES = 900_000  # of one reply: below what a message of the link may hold

T = TypeVar("T")


class ConnectionLost(Exception):
    """The other end can't be reached by this channel any more."""


class SessionChannel(Protocol):
    """One session's frames, each answered by one."""

    def ask(self, request: wire.SessionRequest) -> wire.SessionReply:
        """Raises ConnectionLost, and RengaError for what the other end refuses."""
        ...

    def close(self) -> None: ...


class RemoteModel:
    """The model called `name` at the other end. `dial` opens a channel for a session; `vocabulary` is ours,
    and must be theirs, which is checked when a session opens. `chunk`: ids in one feed."""

    def __init__(
        self,
        dial: Callable[[], SessionChannel],
        name: str,
        vocabulary: Vocabulary,
        *,
        wants: Sequence[str] = tuple(NAMES),
        chunk: int = 256,
    ) -> None:
        self.dial = dial
        self.name = name
        self.chunk = chunk
        self.meter = Meter()
        self._vocabulary = vocabulary
        self.offers: frozenset[type[Want]] = frozenset(NAMES[want] for want in wants if want in NAMES)

    @property
    def vocabulary(self) -> Vocabulary:
        return self._vocabulary

    def open(self, prompt: Prompt) -> RemoteSession:
        """A session there that has read `prompt`. Raises UsageError for a raw one: it never travels."""
        return RemoteSession(self, prompt)

    def open_slots(self, prompt: Prompt, slots: Slots) -> RemoteSession:
        """As `open`, of a session that has read `slots` before."""
        return RemoteSession(self, prompt, slots)


class RemoteSession:
    """One conditioned model at the other end; used by one thread at a time, and closed at the end."""

    def __init__(self, model: RemoteModel, prompt: Prompt, slots: Slots | None = None) -> None:
        self._model = model
        self._opening = opening(
            model.name, model.vocabulary.fingerprint, prompt.text, prompt.clearance is Clearance.PUBLIC,
            prompt.clearance is Clearance.RAW, packed_slots(slots) if slots else None,
            [(one.role, one.text) for one in prompt.before],
        )  # fmt: skip
        self._ids: list[int] = []
        self.prompt_ids = 0  # as many as the other end says that it read
        self._there = 0  # ids read at the other end
        self._said: Sampling | None = None  # how to sample, as told to the other end
        self._channel: SessionChannel | None = None
        self._healed(self._reach)

    @property
    def length(self) -> int:
        """Ids read since the session opened."""
        return len(self._ids)

    def feed(self, ids: Sequence[int], want: Want = Full()) -> Answer:
        """Read `ids`; answer as a local session does. Raises RengaError for what is refused there."""
        if type(want) not in self._model.offers:
            raise RengaError(f"{self._model.name} does not answer {type(want).__name__}")
        self._model.vocabulary.bytes_of(ids)
        if isinstance(want, Full | TopK) and len(ids) >= (most := self._places(want)):
            return self._in_parts(ids, want, max(1, most - 1))
        answer = self._healed(lambda: self._fed(list(ids), want))
        kept = len(ids)
        if isinstance(want, Verify):
            assert answer.ids is not None
            kept = len(answer.ids) - 1
            if answer.ids[:-1].tolist() != list(ids[:kept]):
                raise RefusedPayload("the other end emitted what it was not asked about")
        self._ids += ids[:kept]
        self._there = len(self._ids)
        return answer

    def _places(self, want: Full | TopK) -> int:
        """How many places one reply has room for."""
        size = self._model.vocabulary.size
        row = 8 * min(want.k, size) + 4 if isinstance(want, TopK) else 4 * size
        most: int = ANSWER_BYTES // row
        return max(2, most)

    def _in_parts(self, ids: Sequence[int], want: Want, most: int) -> Answer:
        """A feed whose rows fill several replies; the row where two parts meet is in both."""
        parts = [self.feed(ids[start : start + most], want) for start in range(0, len(ids), most)]

        def joined(name: str) -> torch.Tensor | None:
            rows = [getattr(part, name) for part in parts]
            if rows[0] is None:
                return None
            return torch.cat([row[:-1] for row in rows[:-1]] + rows[-1:])

        return Answer(logp=joined("logp"), ids=joined("ids"), tail=joined("tail"))

    def rewind(self, length: int) -> None:
        """Forget everything after the first `length` ids read since the session opened."""
        if not 0 <= length <= self.length:
            raise ValueError(f"can't rewind to {length}: {self.length} ids were read")
        self._ids = self._ids[:length]  # told with the next feed: a rewind costs no journey of its own

    def close(self) -> None:
        """Tell the other end that this is over."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _healed(self, move: Callable[[], T]) -> T:
        for attempt in range(HEALINGS + 1):
            try:
                return move()
            except ConnectionLost as lost:
                self.close()
                if attempt == HEALINGS:
                    raise RengaError(f"the connection to {self._model.name} is lost") from lost
        raise AssertionError("unreachable")

    def _reach(self) -> SessionChannel:
        """A channel to a session that has read what this one has."""
        if self._channel is None:
            channel = self._model.dial()
            try:
                reply = channel.ask(self._opening)
                if reply.opened.vocabulary != self._model.vocabulary.fingerprint:
                    raise RengaError(
                        f"{self._model.name} has another vocabulary than the one counted with here"
                    )
            except BaseException:  # nobody else knows of it, and its place at the other end is one of few
                channel.close()
                raise
            self._channel, self._there, self._said = channel, 0, None
            self.prompt_ids = reply.opened.prompt_ids
        if self._there > len(self._ids):
            reply = self._channel.ask(wire.SessionRequest(rewind=wire.Rewind(length=len(self._ids))))
            self._there = reply.length.length
        while self._there < len(self._ids):
            part = self._ids[self._there : self._there + self._model.chunk]
            self._send(self._channel, part, Scores())
        return self._channel

    def _fed(self, ids: list[int], want: Want) -> Answer:
        fed = self._send(self._reach(), ids, want)
        return read_answer(fed, want, len(ids), self._model.vocabulary.size)

    def _send(self, channel: SessionChannel, ids: list[int], want: Want) -> wire.Fed:
        size = self._model.vocabulary.size
        feed = wire.Feed(base=self._there, ids=packed_ids(ids, size), want=packed_want(want, self._said))
        request = wire.SessionRequest(feed=feed)
        meter = self._model.meter
        with meter.reading(len(ids)):
            reply = channel.ask(request)
        meter.bytes_up += request.ByteSize()
        meter.bytes_down += reply.ByteSize()
        if reply.WhichOneof("reply") != "fed":
            raise ConnectionLost("the two ends count differently")  # a fresh session counts from the start
        if isinstance(want, Verify):
            self._said = want.sampling
        self._there += len(ids)
        return reply.fed
