"""Time, as whoever waits for replies sees it.

A carrier brings its clock along (`grid.clock`): the local one counts virtual seconds, so that a test
of a ten-minute deadline takes a millisecond, and a carrier that is told of arrivals can wake its
waiter at once. Carriers without one, Flower's own for instance, are polled by the system's clock.
"""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass, field
from typing import Protocol

from renga.errors import RengaError


class Clock(Protocol):
    """Seconds that never go back."""

    def monotonic(self) -> float:
        """Seconds since some moment in the past."""

    def sleep(self, seconds: float) -> None:
        """Let exactly this much time pass."""

    def wait(self, seconds: float) -> None:
        """Let at most this much time pass; return sooner when a reply may have come."""


@dataclass(frozen=True)
class SystemClock:
    """Real time. `poll` is how many seconds may pass between two looks at the grid."""

    poll: float = 0.3

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def wait(self, seconds: float) -> None:
        time.sleep(min(seconds, self.poll))


@dataclass
class VirtualClock:
    """Time that passes only when somebody sleeps, and then at once."""

    now: float = 0.0
    _alarms: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)

    def wait(self, seconds: float) -> None:
        """Go to the next alarm, or `seconds` ahead if none comes first.

        Raises RengaError when asked to wait for ever for something that will never happen.
        """
        while self._alarms and self._alarms[0] <= self.now:
            heapq.heappop(self._alarms)
        end = min([self.now + seconds, *self._alarms[:1]])
        if math.isinf(end):
            raise RengaError(
                "waiting without a deadline for replies that will never come",
                hint="give the round a deadline, or let no client drop out",
            )
        self.now = max(self.now, end)

    def alarm(self, at: float) -> None:
        """Something becomes visible at this moment: no `wait` passes over it."""
        heapq.heappush(self._alarms, at)


def clock_of(grid: object) -> Clock:
    """The clock that a carrier brings along, else the system's."""
    clock: Clock | None = getattr(grid, "clock", None)
    return SystemClock() if clock is None else clock
