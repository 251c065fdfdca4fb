"""How far to guess ahead: as far as pays, by what was agreed with and what guessing and checking took."""

from __future__ import annotations

import math

FORGET = 0.9  # weight of the past at each step
START = 4


class Pace:
    """The draft length that gives most tokens per second, learned while answering.

    With a share `a` of guesses agreed with, a draft of n gives (1 - a^(n+1)) / (1 - a) tokens and takes
    n * draft + check + n * more seconds; a journey to the target is part of `check`. The length changes what
    an answer costs, never what it says.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._agreed, self._refused = 1.5, 0.5  # a prior of two guesses
        self._draft = 0.0
        # Of least squares of seconds on the draft's length, forgetting.
        self._n = self._x = self._y = self._xx = self._xy = 0.0

    def length(self) -> int:
        """How many to guess next."""
        if self._n < 1.5:
            return min(START, self._longest)
        check, more = self._line()
        best = max(range(self._longest + 1), key=lambda n: self._gain(n, check, more))
        return best if best or self._agreed + self._refused > 0.3 else 1

    def note(self, drafted: int, agreed: int, drafting: float, checking: float) -> None:
        """One step: how many were drafted, how many of them agreed with, and the seconds of each part."""
        self._agreed = FORGET * self._agreed + agreed
        self._refused = FORGET * self._refused + (agreed < drafted)
        if drafted:
            each = drafting / drafted
            self._draft = each if not self._draft else FORGET * self._draft + (1 - FORGET) * each
        self._n = FORGET * self._n + 1
        self._x = FORGET * self._x + drafted
        self._y = FORGET * self._y + checking
        self._xx = FORGET * self._xx + drafted**2
        self._xy = FORGET * self._xy + drafted * checking

    @property
    def share(self) -> float:
        """The share of guesses that is agreed with, now."""
        return self._agreed / max(1e-9, self._agreed + self._refused)

    def _line(self) -> tuple[float, float]:
        """Seconds of checking no guess, and of each guess more."""
        spread = self._n * self._xx - self._x**2
        mean = self._y / self._n
        if spread < 1e-6:
            return mean, 0.1 * mean / max(1.0, self._x / self._n)
        slope = max(0.0, (self._n * self._xy - self._x * self._y) / spread)
        return max(0.2 * mean, (self._y - slope * self._x) / self._n), slope

    def _gain(self, n: int, check: float, more: float) -> float:
        a = min(self.share, 0.999)
        tokens = (1 - a ** (n + 1)) / (1 - a)
        seconds = check + n * (self._draft + more)
        return tokens / seconds if seconds > 0 else math.inf
