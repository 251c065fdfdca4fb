"""Sessions on the host model for peers: opened, fed and rewound over a stream, within limits."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Protocol

import grpc

from renga.errors import RengaError
from renga.models.adapter import Adapter
from renga.models.batching import BatchedModel, LockLike, Overloaded
from renga.models.contract import LanguageModel
from renga.models.local import LocalModel
from renga.models.serving_sessions import ServedSession, SessionLimits
from renga.models.weights import SharedWeights
from renga.protocol import link_pb2 as wire
from renga.server.access import exhausted, refuse

Context = grpc.aio.ServicerContext[Any, Any]


class Learner(Protocol):
    """A host: weights, what was learned on them so far, and the lock of whoever uses them."""

    @property
    def weights(self) -> SharedWeights: ...

    @property
    def adapter(self) -> Adapter | None: ...

    @property
    def turn(self) -> LockLike: ...


class HostSessions:
    """Sessions on what the host has learned so far: an adapter that was adopted serves those opened after it,
    and the sessions of the one before are closed, since what they have read was read by another model."""

    def __init__(self, host: Learner, limits: SessionLimits = SessionLimits()) -> None:
        self.limits = limits
        self._host = host
        self._now: tuple[Adapter | None, LanguageModel, Sessions] | None = None
        self._guard = threading.Lock()

    def __call__(self) -> Sessions:
        with self._guard:  # asked from the loop, and from threads that make answers
            return self._current()

    def _current(self) -> Sessions:
        adapter = self._host.adapter
        if self._now is None or self._now[0] is not adapter:
            close = getattr(self._now[1], "close", None) if self._now is not None else None
            if close is not None:
                # Its last step may wait for the host to finish learning; callers need not.
                threading.Thread(target=close, daemon=True).start()
            model = self._model(adapter)
            self._now = adapter, model, Sessions(model, self.limits)
        return self._now[2]

    def model(self) -> LanguageModel:
        """The host as it is now, for answers that the server itself makes."""
        self()
        assert self._now is not None
        return self._now[1]

    def _model(self, adapter: Adapter | None) -> LanguageModel:
        weights, limits = self._host.weights, self.limits
        if not weights.keeps_keys:  # reads one session after the other
            return LocalModel(weights, adapter)
        return BatchedModel(
            weights,
            adapter,
            sessions=limits.sessions_in_all,
            tokens=limits.ids_per_session,
            patience=limits.patience,
            lock=self._host.turn,
        )


class Sessions:
    """Serves sessions on `model` under the name `name`."""

    def __init__(
        self, model: LanguageModel, limits: SessionLimits = SessionLimits(), name: str = "host"
    ) -> None:
        self._model = model
        self._limits = limits
        self._name = name
        self._taken: Counter[str] = Counter()

    async def session(
        self, peer: str, moves: AsyncIterator[wire.SessionRequest], context: Context
    ) -> AsyncGenerator[wire.SessionReply, None]:
        """One session of `peer`, until it goes, or says nothing for too long."""
        upcoming = aiter(moves)
        if self._taken[peer] >= self._limits.sessions:
            await anext(upcoming, None)  # who is cut off while it writes is not told why
            await exhausted(context, "too many sessions at once", 2.0)
        self._taken[peer] += 1
        served = ServedSession(self._model, self._limits, self._name)
        try:
            while True:
                async with asyncio.timeout(self._limits.idle_seconds):
                    move = await anext(upcoming)
                yield await asyncio.to_thread(served.answer, move)
        except StopAsyncIteration:
            return
        except Overloaded as error:
            await exhausted(context, error.message, error.retry_after)
        except TimeoutError:
            await refuse(context, grpc.StatusCode.DEADLINE_EXCEEDED, "the session was idle for too long")
        except RengaError as error:
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error.line)
        finally:
            self._taken[peer] -= 1
            served.close()
