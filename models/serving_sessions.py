"""A session's other end: moves that came over a wire are made on a model here, within limits.

The host serves its model so, and a client the model that it lends; how frames travel is not known here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from renga.errors import RefusedPayload
from renga.models.context import SHORTER
from renga.models.contract import Clearance, Full, LanguageModel, Prompt, Said, Sampling, TopK, Verify
from renga.models.session_codec import NAMES, packed_answer, read_ids, read_want
from renga.models.slot_session import open_with, width_of
from renga.models.slots import read_slots
from renga.protocol import link_pb2 as wire
from renga.protocol.prompts import heard

ANSWER_BYTES = 1_000_000  # of one reply
CLEARANCES = {
    wire.CLEARANCE_PUBLIC: Clearance.PUBLIC,
    wire.CLEARANCE_SANITISED: Clearance.SANITISED,
}


@dataclass(frozen=True)
class SessionLimits:
    """What one peer may ask for at once, and what all peers together may hold."""

    prompt_bytes: int = 16_384
    sessions: int = 4
    ids_per_feed: int = 512
    ids_per_session: int = 2_048
    top_k: int = 256
    idle_seconds: float = 120
    sessions_in_all: int = 16
    patience: float = 20.0  # seconds to wait for a model that is learning


class ServedSession:
    """One session on `model`, which is called `name`; used by one thread at a time, and closed at the end."""

    def __init__(self, model: LanguageModel, limits: SessionLimits, name: str) -> None:
        self._model = model
        self._limits = limits
        self._name = name
        self._session: Any = None
        self._length = 0
        self._said: Sampling | None = None  # how to sample, as this session was told last

    def answer(self, move: wire.SessionRequest) -> wire.SessionReply:
        """Make a move. Raises RefusedPayload for one that is out of order or of bounds, and what the model
        raises (`Overloaded` when there is no room)."""
        kind = move.WhichOneof("move")
        if self._session is None:
            if kind != "open":
                raise RefusedPayload("the first move of a session opens it")
            return self._open(move.open)
        if kind == "feed":
            return self._feed(move.feed)
        if kind != "rewind":
            raise RefusedPayload("a session opens once, with its first move")
        if move.rewind.length <= self._length:
            self._session.rewind(move.rewind.length)
            self._length = move.rewind.length
        return self._told()

    def close(self) -> None:
        """Make room for another."""
        close = getattr(self._session, "close", None)
        if close is not None:
            close()

    def _open(self, asked: wire.Open) -> wire.SessionReply:
        if asked.model != self._name:
            raise RefusedPayload(f"there is no model of that name here; there is {self._name}")
        if asked.clearance not in CLEARANCES:
            raise RefusedPayload("a prompt without clearance is not read")
        if len(asked.prompt.encode()) > self._limits.prompt_bytes:
            raise RefusedPayload(
                f"the prompt has {len(asked.prompt.encode()):,} bytes; at most "
                f"{self._limits.prompt_bytes:,} are read here: {SHORTER}"
            )
        room = self._limits.prompt_bytes - len(asked.prompt.encode())
        before = tuple(Said(role, text) for role, text in heard(asked.before, room))
        mine = self._model.vocabulary.fingerprint
        if asked.vocabulary and asked.vocabulary != mine:
            raise RefusedPayload("the model has another vocabulary than the caller counts with")
        prompt = Prompt(asked.prompt, CLEARANCES[asked.clearance], before)
        if asked.HasField("slots"):
            weights = getattr(self._model, "weights", None)
            if weights is None:
                raise RefusedPayload(f"{self._name} reads no slots")
            slots = read_slots(asked.slots, weights.fingerprint, width_of(weights))
            self._session = open_with(self._model, prompt, slots)
        else:
            self._session = self._model.open(prompt)
        wants = sorted(name for name, want in NAMES.items() if want in self._model.offers)
        read = int(getattr(self._session, "prompt_ids", 0))
        return wire.SessionReply(opened=wire.Opened(vocabulary=mine, wants=wants, prompt_ids=read))

    def _feed(self, feed: wire.Feed) -> wire.SessionReply:
        if feed.base != self._length:
            return self._told()
        size = self._model.vocabulary.size
        ids = read_ids(feed.ids, size, self._limits.ids_per_feed)
        if self._length + len(ids) > self._limits.ids_per_session:
            raise RefusedPayload(f"a session reads at most {self._limits.ids_per_session} ids")
        want = read_want(feed.want, size, self._said)
        if isinstance(want, TopK) and want.k > self._limits.top_k:
            raise RefusedPayload(f"top-k goes up to {self._limits.top_k} here")
        row = 4 * size if isinstance(want, Full) else 8 * want.k + 4 if isinstance(want, TopK) else 4
        if row * (len(ids) + 1) > ANSWER_BYTES:
            raise RefusedPayload("the rows asked for are more than one reply holds; feed less at once")
        began = time.monotonic()
        answer = self._session.feed(ids, want)
        kept = len(ids)
        if isinstance(want, Verify):
            assert answer.ids is not None
            kept, self._said = len(answer.ids) - 1, want.sampling
        self._length += kept
        fed = packed_answer(answer, want, self._length, size)
        fed.seconds = time.monotonic() - began
        return wire.SessionReply(fed=fed)

    def _told(self) -> wire.SessionReply:
        return wire.SessionReply(length=wire.Length(length=self._length))
