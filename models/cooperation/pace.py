"""How far to guess ahead: as far as pays, by what was agreed with and what guessing and checking took."""

from __future__ import annotations

FORGET = 0.9  # weight of an answer's past at each step
KEEP = 0.98  # weight of all answers' past at each step
AGREE = 0.75  # how likely a guess is agreed with, until that is known
PRIOR = 3.0  # times that all answers count for in one answer
START = 4
IDLE = 16
MORE = 0.05  # what a guess more adds to a check, as a share of it, until that is known
SURE = 30.0  # squared guesses by which that must spread before it counts for half


class Hits:
    """How often the first guess of a draft was agreed with, the second where the first was, and so on.

    A copy that is right goes on being right, and one that is wrong is so at once: one share for all places
    would make drafts too short.
    """

    def __init__(self, longest: int) -> None:
        self.hits = [0.0] * longest
        self.tries = [0.0] * longest

    def note(self, agreed: int, refused: bool, keep: float) -> None:
        self.hits = [keep * n for n in self.hits]
        self.tries = [keep * n for n in self.tries]
        for at in range(min(agreed + refused, len(self.tries))):
            self.tries[at] += 1
            self.hits[at] += at < agreed

    def shares(self, prior: list[float] | None = None, weight: float = 1.0) -> list[float]:
        """For each place how likely a guess there is agreed with. prior: what is thought before anything is
        known; None: as likely as at the place before."""
        found: list[float] = []
        for at, (hits, tries) in enumerate(zip(self.hits, self.tries, strict=True)):
            before = prior[at] if prior else found[-1] if found else AGREE
            found.append((hits + weight * before) / (tries + weight))
        return found


class Checks:
    """What checks took in all answers so far.

    Seconds are fitted by least squares on how many guesses a check held, forgetting; where those were ever
    the same, a guess more is taken to add `MORE`.
    """

    def __init__(self) -> None:
        self._n = self._x = self._y = self._xx = self._xy = 0.0

    @property
    def known(self) -> bool:
        """Whether there is anything to go by."""
        return self._n > 1.5

    def note(self, drafted: int, seconds: float) -> None:
        self._n = KEEP * self._n + 1
        self._x = KEEP * self._x + drafted
        self._y = KEEP * self._y + seconds
        self._xx = KEEP * self._xx + drafted**2
        self._xy = KEEP * self._xy + drafted * seconds

    def line(self) -> tuple[float, float]:
        """Seconds of checking no guess, and of each guess more."""
        mean = self._y / self._n
        spread = self._xx - self._x**2 / self._n
        together = self._xy - self._x * self._y / self._n
        slope = max(0.0, (together + SURE * MORE * mean) / (spread + SURE))
        return max(0.2 * mean, mean - slope * self._x / self._n), slope


class Costs:
    """What one drafter's guesses took in all answers so far, and how many were agreed with. checks: of the
    target, shared by all who draft for it."""

    def __init__(self, longest: int = 64, checks: Checks | None = None) -> None:
        self.hits = Hits(longest)
        self.checks = checks or Checks()
        self.draft = 0.0  # seconds of one

    def note(self, drafted: int, drafting: float, checking: float) -> None:
        """The seconds of one step, in which no prompt was read."""
        if drafted:
            each = drafting / drafted
            self.draft = each if not self.draft else FORGET * self.draft + (1 - FORGET) * each
        self.checks.note(drafted, checking)


class Pace:
    """The draft length of one answer that gives most tokens per second.

    If the guess at place i is agreed with in a share a_i of the cases where all before it were, a draft of n
    gives 1 + a_1 + a_1 a_2 + … tokens and takes n * own * draft + check + n * more seconds; a journey to the
    target is part of `check`. own: what a second of drafting counts; less than one where the target's time is
    dearer than one's own. costs: shared by the answers of one drafter and target, so that a short answer need
    not learn them. The length changes what an answer costs, never what it says.
    """

    def __init__(self, longest: int, costs: Costs | None = None, own: float = 1.0) -> None:
        self._longest = longest
        self._costs = costs or Costs(longest)
        self._own = own
        self._hits = Hits(longest)
        self._idle = 0  # steps since the last guess
        self._begun = False

    def length(self) -> int:
        """How many to guess next."""
        if not self._costs.checks.known:
            return min(START, self._longest)
        check, more = self._costs.checks.line()
        each = self._own * self._costs.draft + more
        best, fastest, tokens, reached = 0, 1 / max(check, 1e-9), 1.0, 1.0
        shares = self._hits.shares(self._costs.hits.shares()[: self._longest], PRIOR)
        for n, share in enumerate(shares, start=1):
            reached *= share
            tokens += reached
            if (gain := tokens / max(check + n * each, 1e-9)) > fastest:
                best, fastest = n, gain
        # Where guesses don't pay one is made now and then: the text may have become easier.
        return best or int(self._idle >= IDLE)

    def rest(self) -> None:
        """A step in which somebody else drafted."""
        self._idle += 1

    def note(self, drafted: int, agreed: int, drafting: float, checking: float, ended: bool = False) -> None:
        """One step: how many were drafted, how many of them agreed with, and the seconds of each part. ended:
        the answer did behind the last that was agreed with, so that none was refused."""
        self._idle = 0 if drafted else self._idle + 1
        if drafted:
            refused = agreed < drafted and not ended
            self._hits.note(agreed, refused, FORGET)
            self._costs.hits.note(agreed, refused, KEEP)
        if self._begun:  # the first step of an answer reads the prompt, too
            self._costs.note(drafted, drafting, checking)
        self._begun = True
