"""How far to guess ahead: as far as pays, by what was agreed with and what guessing and checking took."""

from __future__ import annotations

import math

FORGET = 0.9  # weight of an answer's past at each step
KEEP = 0.98  # weight of all answers' past at each step
PRIOR = 3.0  # guesses that all answers' share counts for in one answer
START = 4
MORE = 0.05  # what a guess more adds to a check, as a share of it, until that is known
SURE = 30.0  # squared guesses by which that must spread before it counts for half


class Costs:
    """What guesses and checks took in all answers so far, and how many guesses were agreed with.

    The seconds of a check are fitted by least squares on how many guesses it held, forgetting; where those
    were ever the same, a guess more is taken to add `MORE`.
    """

    def __init__(self) -> None:
        self.agreed, self.refused = 1.5, 0.5  # a prior of two guesses
        self.draft = 0.0  # seconds of one
        self._n = self._x = self._y = self._xx = self._xy = 0.0

    @property
    def known(self) -> bool:
        """Whether there is anything to go by."""
        return self._n > 1.5

    def note(self, drafted: int, drafting: float, checking: float) -> None:
        """The seconds of one step, in which no prompt was read."""
        if drafted:
            each = drafting / drafted
            self.draft = each if not self.draft else FORGET * self.draft + (1 - FORGET) * each
        self._n = KEEP * self._n + 1
        self._x = KEEP * self._x + drafted
        self._y = KEEP * self._y + checking
        self._xx = KEEP * self._xx + drafted**2
        self._xy = KEEP * self._xy + drafted * checking

    def line(self) -> tuple[float, float]:
        """Seconds of checking no guess, and of each guess more."""
        mean = self._y / self._n
        spread = self._xx - self._x**2 / self._n
        together = self._xy - self._x * self._y / self._n
        slope = max(0.0, (together + SURE * MORE * mean) / (spread + SURE))
        return max(0.2 * mean, mean - slope * self._x / self._n), slope


class Pace:
    """The draft length of one answer that gives most tokens per second.

    With a share `a` of guesses agreed with, a draft of n gives (1 - a^(n+1)) / (1 - a) tokens and takes
    n * own * draft + check + n * more seconds; a journey to the target is part of `check`. own: what a second
    of drafting counts; less than one where the target's time is dearer than one's own. costs: shared by the
    answers of one drafter and target, so that a short answer need not learn them. The length changes what an
    answer costs, never what it says.
    """

    def __init__(self, longest: int, costs: Costs | None = None, own: float = 1.0) -> None:
        self._longest = longest
        self._costs = costs or Costs()
        self._own = own
        self._agreed = self._refused = 0.0
        self._begun = False

    def length(self) -> int:
        """How many to guess next."""
        if not self._costs.known:
            return min(START, self._longest)
        check, more = self._costs.line()
        best = max(range(self._longest + 1), key=lambda n: self._gain(n, check, more))
        # Where guesses don't pay one is made now and then: the text may have become easier.
        return best if best or self._agreed + self._refused > 0.3 else 1

    def note(self, drafted: int, agreed: int, drafting: float, checking: float, ended: bool = False) -> None:
        """One step: how many were drafted, how many of them agreed with, and the seconds of each part. ended:
        the answer did behind the last that was agreed with, so that none was refused."""
        refused = agreed < drafted and not ended
        self._agreed = FORGET * self._agreed + agreed
        self._refused = FORGET * self._refused + refused
        if drafted:
            self._costs.agreed = KEEP * self._costs.agreed + agreed
            self._costs.refused = KEEP * self._costs.refused + refused
        if self._begun:  # the first step of an answer reads the prompt, too
            self._costs.note(drafted, drafting, checking)
        self._begun = True

    @property
    def share(self) -> float:
        """The share of guesses that is agreed with, now."""
        usual = self._costs.agreed / (self._costs.agreed + self._costs.refused)
        return (self._agreed + PRIOR * usual) / (self._agreed + self._refused + PRIOR)

    def _gain(self, n: int, check: float, more: float) -> float:
        a = min(self.share, 0.999)
        tokens = (1 - a ** (n + 1)) / (1 - a)
        seconds = check + n * (self._own * self._costs.draft + more)
        return tokens / seconds if seconds > 0 else math.inf
