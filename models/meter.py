"""What a model has cost so far. Plans are compared by what the meter says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Meter:
    """Counts of one model: forward passes, tokens read, bytes over the network, seconds inside it."""

    passes: int = 0
    tokens: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    seconds: float = 0.0
    _depth: int = field(default=0, repr=False)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count the time spent inside; blocks within blocks are counted once."""
        start = time.perf_counter()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self.seconds += time.perf_counter() - start

    @contextmanager
    def reading(self, tokens: int) -> Iterator[None]:
        """Count one pass over `tokens` tokens and the time it takes."""
        with self.working():
            yield
        self.passes += 1
        self.tokens += tokens


def added(meters: Sequence[Meter]) -> Meter:
    """What several have cost together."""
    return Meter(
        passes=sum(m.passes for m in meters),
        tokens=sum(m.tokens for m in meters),
        bytes_up=sum(m.bytes_up for m in meters),
        bytes_down=sum(m.bytes_down for m in meters),
        seconds=sum(m.seconds for m in meters),
    )
