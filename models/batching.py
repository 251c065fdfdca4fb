"""Sessions of many callers on one model: what they feed at about the same time is read in one forward.

Every session has a row of one cache, in which a token stands in the column of its position: rows of unequal
length need no padding between their tokens, and a rewind is a smaller number. Sessions join and leave between
steps. Rows of one step are served in the order of asking, and a long feed is read in chunks, so that nobody
waits for another's document.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from transformers import DynamicCache

from renga.errors import RengaError
from renga.models.adapter import Adapter
from renga.models.caching import handed
from renga.models.context import check_prompt, fitting
from renga.models.contract import Answer, Full, Prompt, Scores, TopK, Verify, Want
from renga.models.local import LocalModel, answered
from renga.models.slot_session import SharedSlots, SlotSession
from renga.models.slots import Slots
from renga.models.vocabulary import Vocabulary
from renga.models.weights import SharedWeights

CHUNK = 64  # ids of one session in one step


class LockLike(Protocol):
    """What `threading.Lock` and `RLock` have in common."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...

    def release(self) -> None: ...


class Overloaded(RengaError):
    """There is no room for more; ask again in `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 2.0) -> None:
        super().__init__(message, hint=f"ask again in {retry_after:.0f} s")
        self.retry_after = retry_after


@dataclass(eq=False)
class _Feed:
    session: BatchedSession
    unread: list[int]
    keep: int  # last rows wanted
    future: Future[torch.Tensor] = field(default_factory=Future)
    rows: list[torch.Tensor] = field(default_factory=list)


class _Rows(DynamicCache):  # type: ignore[misc]
    """Keys and values of all sessions, [sessions, heads, places, width] per layer."""

    def __init__(self, sessions: int) -> None:
        super().__init__()
        self._sessions = sessions
        self._held: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.rows = torch.zeros(0, dtype=torch.long)
        self.columns = torch.zeros((0, 0), dtype=torch.long)
        self.width = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        pair = self._held.get(layer_idx)
        if pair is None or pair[0].shape[2] < self.width:
            places = -(-self.width // 64) * 64
            pair = (
                self._grown(pair and pair[0], key_states, places),
                self._grown(pair and pair[1], value_states, places),
            )
            self._held[layer_idx] = pair
        for held, states in zip(pair, (key_states, value_states), strict=True):
            held[self.rows[:, None], :, self.columns] = states.transpose(1, 2)
        first, count = int(self.rows[0]), len(self.rows)
        if int(self.rows[-1]) - first + 1 == count:  # side by side: no copy
            return pair[0][first : first + count, :, : self.width], pair[1][
                first : first + count, :, : self.width
            ]
        return pair[0][self.rows, :, : self.width], pair[1][self.rows, :, : self.width]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0

    def _grown(self, old: torch.Tensor | None, like: torch.Tensor, places: int) -> torch.Tensor:
        grown = like.new_zeros((self._sessions, like.shape[1], places, like.shape[3]))
        if old is not None:
            grown[:, :, : old.shape[2]] = old
        return grown


class BatchedModel:
    """A language model whose sessions are read together. Safe to use from many threads; see `close`.

    At most `sessions` sessions of `tokens` ids each, or of as many as the model reads, prompt included: the
    bound of the cache is their product. Learning on the same weights excludes reading by `weights.lock`; a
    feed that has waited for it for `patience` seconds ends in Overloaded. `lock`: another lock that all users
    of the weights hold.
    """

    offers: frozenset[type[Want]] = frozenset({Full, TopK, Scores, Verify})

    def __init__(
        self,
        weights: SharedWeights,
        adapter: Adapter | None = None,
        *,
        sessions: int = 16,
        tokens: int = 2048,
        patience: float = 20.0,
        lock: LockLike | None = None,
    ) -> None:
        if not weights.keeps_keys:
            raise RengaError(
                f"{weights.reference} keeps more than keys of what it read: its sessions can't be batched"
            )
        self.weights = weights
        self.adapter = adapter
        self.tokens = min(tokens, weights.context or tokens)
        self.steps = 0
        self._patience = patience
        self._lock = lock or weights.lock
        self._free = list(range(sessions))
        self._guard = threading.Lock()
        self._closed = False
        self._cache = _Rows(sessions)
        self._queue: queue.SimpleQueue[_Feed | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True, name="batching")
        self._thread.start()

    @property
    def vocabulary(self) -> Vocabulary:
        return self.weights.vocabulary

    def open(self, prompt: Prompt) -> BatchedSession:
        """A session that will have read `prompt`. Raises Overloaded when all are taken, TooLong for a prompt
        of more than `tokens`."""
        return self.open_ids(self.weights.template.ids_of(self.weights.tokenizer, prompt))

    def open_ids(self, ids: Sequence[int]) -> BatchedSession:
        """A session that will have read `ids`, at least one, as they are."""
        if not ids:
            raise ValueError("a session needs at least one id before its first answer")
        check_prompt(len(ids), self.tokens, self.weights.name)
        return BatchedSession(self, self._row(), ids)

    def open_slots(self, prompt: Prompt, slots: Slots) -> SharedSlots:
        """A session that has read `slots` and `prompt`. It takes the place of one, but is read by itself."""
        row = self._row()
        try:
            with self._turn():
                host = LocalModel(self.weights, self.adapter)
                session = SlotSession(host, prompt.text, slots.vectors(), self.tokens)
        except BaseException:
            self._leave(row)
            raise
        return SharedSlots(session, self._turn, lambda: self._leave(row))

    def _row(self) -> int:
        """A free row, taken."""
        with self._guard:
            if not self._free:
                raise Overloaded("all sessions on this model are taken")
            row = min(self._free)
            self._free.remove(row)
        return row

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """The weights, for as long as it takes. Raises Overloaded when they are not free in time."""
        if not self._lock.acquire(timeout=self._patience):
            raise Overloaded("the model is learning")
        try:
            yield
        finally:
            self._lock.release()

    def close(self) -> None:
        """Stop reading; what waits, and what comes later, ends in an error."""
        with self._guard:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _enqueue(self, feed: _Feed) -> None:
        with (
            self._guard
        ):  # nothing may stand behind the mark at which the thread ends: it would wait for ever
            if self._closed:
                raise RengaError("the model is closed")
            self._queue.put(feed)

    def _leave(self, row: int) -> None:
        with self._guard:
            self._free.append(row)

    def _run(self) -> None:
        waiting: list[_Feed] = []
        while True:
            arrived = self._arrived(block=not waiting)
            waiting += [feed for feed in arrived if feed is not None]
            if None in arrived:
                for feed in waiting:
                    feed.future.set_exception(RengaError("the model is closed"))
                return
            try:
                with self._turn():
                    self._step(waiting)
            except Exception as error:  # noqa: BLE001 whatever it is belongs to those who wait
                for feed in waiting:
                    feed.future.set_exception(error)
                waiting = []
                continue
            for feed in waiting:
                if not feed.unread:
                    feed.future.set_result(torch.cat(feed.rows))
            waiting = [feed for feed in waiting if feed.unread]

    def _arrived(self, *, block: bool) -> list[_Feed | None]:
        found = [self._queue.get()] if block else []
        while not self._queue.empty():
            found.append(self._queue.get())
        return found

    @torch.inference_mode()
    def _step(self, feeds: list[_Feed]) -> None:
        """Read the next chunk of each of `feeds`."""
        weights = self.weights
        weights.wear(self.adapter)
        feeds = sorted(feeds, key=lambda feed: feed.session.row)
        chunks = [feed.unread[:CHUNK] for feed in feeds]
        counts = torch.tensor([len(chunk) for chunk in chunks])
        starts = torch.tensor([feed.session.cached for feed in feeds])
        longest = int(counts.max())
        ids = torch.zeros((len(feeds), longest), dtype=torch.long)
        for row, chunk in enumerate(chunks):
            ids[row, : len(chunk)] = torch.tensor(chunk)
        place = torch.arange(longest)
        # Padding is written behind a row's tokens, where nobody looks and the next token overwrites it.
        columns = starts[:, None] + place
        cache = self._cache
        cache.rows = torch.tensor([feed.session.row for feed in feeds])
        cache.columns, cache.width = columns, int(columns.max()) + 1
        left = torch.tensor([len(feed.unread) for feed in feeds])
        keep = torch.tensor([feed.keep for feed in feeds])
        wanted = (place >= (left - keep)[:, None]) & (place < counts[:, None])
        inputs = {
            "input_ids": ids,
            "position_ids": columns,
            "use_cache": True,
            **handed(cache, weights.model),
        }
        with weights.meter.reading(int(counts.sum())):
            logits = weights.logits_at(wanted, attention_mask=self._masks(columns, cache.width), **inputs)
        logp = torch.log_softmax(logits if logits.dtype == torch.float64 else logits.float(), -1)
        self.steps += 1
        for feed, chunk, rows in zip(feeds, chunks, torch.split(logp, wanted.sum(1).tolist()), strict=True):
            feed.rows.append(rows)
            feed.session.cached += len(chunk)
            del feed.unread[: len(chunk)]

    def _masks(self, columns: torch.Tensor, width: int) -> Any:
        """What each place may look at, by kind of layer where there are several."""
        config = self.weights.model.config.get_text_config()
        behind = columns[:, None, :, None] - torch.arange(width)
        kinds = set(getattr(config, "layer_types", None) or ())
        window = getattr(config, "sliding_window", None)
        dtype = self.weights.model.dtype

        def mask(look_back: int | None) -> torch.Tensor:
            seen = behind >= 0 if look_back is None else (behind >= 0) & (behind < look_back)
            return torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)

        if kinds > {"sliding_attention"} or len(kinds) > 1:
            return {kind: mask(window if kind == "sliding_attention" else None) for kind in sorted(kinds)}
        return mask(window if not kinds or kinds == {"sliding_attention"} else None)


class BatchedSession:
    """One conditioned model among many; used by one thread at a time, and closed at the end."""

    def __init__(self, model: BatchedModel, row: int, ids: Sequence[int]) -> None:
        self.row = row
        self.cached = 0
        self._model = model
        self._ids = list(ids)
        self._start = len(self._ids)
        self._boundary: torch.Tensor | None = None
        self._open = True

    @property
    def prompt_ids(self) -> int:
        """Ids of the prompt."""
        return self._start

    @property
    def length(self) -> int:
        """Ids read since the session opened."""
        return len(self._ids) - self._start

    def feed(self, ids: Sequence[int], want: Want = Full()) -> Answer:
        """Read `ids`; answer as a local session does. Raises Overloaded."""
        if not self._open:
            raise RengaError("the session is closed")
        ids = fitting(ids, want, len(self._ids), self._model.tokens, self._model.weights.name)
        self._model.vocabulary.bytes_of(ids)  # ids of another vocabulary are refused
        boundary = self._boundary
        rows = [] if boundary is None else [boundary]
        keep = len(ids) + (boundary is None)
        if keep:
            feed = _Feed(self, self._ids[self.cached :] + list(ids), keep)
            before = self.cached
            self._model._enqueue(feed)
            try:
                rows.append(feed.future.result())
            except BaseException:
                self.cached = before  # what was read of it will be read again
                raise
        self._ids += ids
        logp = torch.cat(rows)
        self._boundary = logp[-1:].clone()
        answer = answered(logp, ids, want, self._model.vocabulary)
        if isinstance(want, Verify):
            assert answer.ids is not None
            agreed = len(answer.ids) - 1
            self._ids = self._ids[: len(self._ids) - len(ids) + agreed]
            self.cached = min(self.cached, len(self._ids))
            self._boundary = logp[agreed : agreed + 1].clone()  # what was emitted from it stands
        return answer

    def rewind(self, length: int) -> None:
        """Forget everything after the first `length` ids read since the session opened."""
        if not 0 <= length <= self.length:
            raise ValueError(f"can't rewind to {length}: {self.length} ids were read")
        if length < self.length:
            self._ids = self._ids[: self._start + length]
            self._boundary = None
            self.cached = min(self.cached, len(self._ids) - 1)

    def close(self) -> None:
        """Make room for another."""
        if self._open:
            self._open = False
            self._model._leave(self.row)
