"""Draft and verify: a cheap guess at several tokens, checked by the target in one pass.

Losslessness is a matter of type: rows, scores and rewinds are the target's own; what is special is only how
an answer is said. With shared noise the target always says its own token, and a draft saves a pass where it
is the same: ids alone travel, the text is that of the target alone, byte for byte, for any drafter, any
tokenizers and any temperature (DESIGN "Exactness"; arXiv:2408.07978). With accept="rejection" the classic
rule is used: the law is the target's, the text is not.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import torch

from renga.errors import RengaError, UsageError
from renga.models.composed import Absence, Reader, close_session, name_of, parts_of, same_vocabulary, total
from renga.models.context import TooLong
from renga.models.contract import Answer, Full, LanguageModel, Prompt, Sampling, Verify, Want
from renga.models.cooperation.drafters import Drafter, Drafting, ModelDrafter, drafter_of
from renga.models.cooperation.pace import Checks, Costs, Pace
from renga.models.cooperation.rejection import drawn, emission
from renga.models.generate import agreed
from renga.models.meter import Meter
from renga.models.noise import Place
from renga.models.sampling import restricted
from renga.models.vocabulary import Vocabulary

Accept = Literal["shared", "rejection"]

OWN = 0.25  # what a second of drafting counts where the target is elsewhere


@dataclass
class Tally:
    """What drafting came to: passes of the target, tokens said, drafted, and agreed with."""

    passes: int = 0
    said: int = 0
    drafted: int = 0
    agreed: int = 0

    @property
    def acceptance(self) -> float:
        """The share of checked drafts that were agreed with; those behind the first refusal are not
        checked."""
        refused = self.passes - self.full
        return self.agreed / max(1, self.agreed + refused)

    full: int = 0  # passes in which nothing was refused


def speculate(
    draft: LanguageModel | Drafter,
    target: LanguageModel,
    *,
    length: int = 0,
    longest: int = 16,
    accept: Accept = "shared",
) -> Speculated:
    """`target`, said with fewer passes of it: `draft` guesses, `target` checks. The text, or with
    accept="rejection" the law, is that of `target` alone.

    length: tokens guessed at a time; 0: as many as pay, up to `longest`. With a target that is here that is
    in seconds. One that is elsewhere has others to serve: a second of drafting then counts a quarter of one
    of waiting for it, so that its passes are saved even where the answer takes somewhat longer. Raises
    UsageError where `target` can't check, or accept="rejection" is asked for with a draft that is no model of
    the same vocabulary.
    """
    if not 0 <= length <= 64 or not 1 <= longest <= 64:
        raise UsageError("speculate drafts 1 to 64 tokens at a time (length=0: as many as pay)")
    if Verify not in target.offers:
        raise UsageError(f"{name_of(target)} can't verify drafts")
    drafter = drafter_of(draft)
    if accept == "rejection":
        if not isinstance(drafter, ModelDrafter):
            raise UsageError('accept="rejection" needs a model that drafts', hint='leave it at "shared"')
        if not same_vocabulary(drafter.members[0].vocabulary, target.vocabulary):
            raise UsageError(
                'accept="rejection" needs a draft of the target\'s vocabulary', hint='leave it at "shared"'
            )
        if Full not in target.offers:
            raise UsageError(f'{name_of(target)} gives no whole rows, which accept="rejection" needs')
    return Speculated(drafter, target, length, longest, accept)


class Speculated:
    """See `speculate`. `tally` counts over all answers."""

    def __init__(
        self, drafter: Drafter, target: LanguageModel, length: int, longest: int, accept: Accept
    ) -> None:
        self.drafter = drafter
        self.target = target
        self.length = length
        self.longest = longest
        self.accept = accept
        self.members = (target, *getattr(drafter, "members", ()))
        self.offers: frozenset[type[Want]] = target.offers
        self.tally = Tally()
        self.absences: list[Absence] = []
        # A guess that costs nothing may pay where another drafter's does not: each has costs of its own.
        self.drafters: tuple[Drafter, ...] = tuple(getattr(drafter, "drafters", (drafter,)))
        checks = Checks()
        self.costs = [Costs(longest, checks) for _ in self.drafters]
        self.own = OWN if any(hasattr(part, "dial") for part in parts_of(target)) else 1.0

    @property
    def vocabulary(self) -> Vocabulary:
        return self.target.vocabulary

    @property
    def meter(self) -> Meter:
        """The sum over all models in it."""
        return total(self)

    def open(self, prompt: Prompt) -> SpeculatedSession:
        return SpeculatedSession(self, prompt)


@dataclass(frozen=True, eq=False)
class _Way:
    """One who drafts for an answer, and how far ahead."""

    drafter: Drafter
    drafting: Drafting
    pace: Pace


class SpeculatedSession:
    """The target's session, which also says several tokens at once."""

    def __init__(self, model: Speculated, prompt: Prompt) -> None:
        self._model = model
        self._target = model.target.open(prompt)
        self._read: list[int] = []
        self._classic = _Classic(model, prompt) if model.accept == "rejection" else None
        self._paces = [Pace(model.longest, costs, model.own) for costs in model.costs]
        self._ways: list[_Way] | None = None
        if self._classic is None:
            self._start(prompt)

    def _start(self, prompt: Prompt) -> list[_Way]:
        self._ways = []
        for drafter, pace in zip(self._model.drafters, self._paces, strict=True):
            try:
                drafting = drafter.start(prompt, self._model.vocabulary)
            except RengaError as error:
                self._left_out(drafter, error)
                continue
            self._ways.append(_Way(drafter, drafting, pace))
        return self._ways

    @property
    def length(self) -> int:
        """Ids read since the session opened."""
        return len(self._read)

    def feed(self, ids: Sequence[int], want: Want = Full()) -> Answer:
        """As the target's session does."""
        answer = self._target.feed(ids, want)
        kept = len(ids)
        if isinstance(want, Verify):
            assert answer.ids is not None
            kept = len(answer.ids) - 1
        self._read += ids[:kept]
        return answer

    def rewind(self, length: int) -> None:
        """As the target's session does."""
        self._target.rewind(length)
        self._read = self._read[:length]

    def emit(self, pending: list[int], sampling: Sampling, place: Place, room: int) -> list[int]:
        """What the target says after `pending`; see `renga.models.generate.emitted`."""
        said = self._read + pending
        behind = place
        for id in pending:
            behind = behind.after(self._model.vocabulary, id)
        pace = self._paces[0]
        if self._classic is not None and sampling.temperature > 0:
            count = min(self._model.length or pace.length(), room - 1)
            drafts, new, drafting, checking = self._by_rejection(said, pending, sampling, behind, count)
        else:
            start = time.perf_counter()
            drafts, pace = self._drafted(said, room - 1, sampling, behind)
            middle = time.perf_counter()
            new = agreed(self._target, pending, drafts, sampling, place, behind)
            drafting, checking = middle - start, time.perf_counter() - middle
        self._read = said + new[:-1]
        accepted = len(new) - 1 + (len(new) <= len(drafts) and new[-1] == drafts[len(new) - 1])
        pace.note(len(drafts), accepted, drafting, checking, ended=accepted == len(new))
        for other in self._paces:
            if other is not pace:
                other.rest()
        tally = self._model.tally
        tally.passes += 1
        tally.said += len(new)
        tally.drafted += len(drafts)
        tally.agreed += accepted
        tally.full += accepted == len(drafts) or new[-1] in self._model.vocabulary.specials
        return new

    def close(self) -> None:
        close_session(self._target)
        for way in self._ways or ():
            way.drafting.close()
        if self._classic is not None:
            self._classic.reader.close()

    def _drafted(
        self, said: list[int], room: int, sampling: Sampling, place: Place
    ) -> tuple[list[int], Pace]:
        """The first guess that there is and that pays, of at most `room` ids, and whose pace that changes."""
        ways = self._ways
        if ways is None:
            assert self._classic is not None
            ways = self._start(self._classic.prompt)
        for way in list(ways):
            count = min(self._model.length or way.pace.length(), room)
            if count <= 0:
                continue
            try:
                drafts = way.drafting.draft(said, count, sampling, place)[:count]
            except RengaError as error:
                ways.remove(way)
                with suppress(RengaError):
                    way.drafting.close()
                self._left_out(way.drafter, error)
                continue
            if drafts:
                return drafts, way.pace
        return [], self._paces[0]

    def _left_out(self, drafter: Drafter, error: RengaError) -> None:
        """A drafter that fails costs speed, and nothing else."""
        members = getattr(drafter, "members", ())
        name = name_of(members[0]) if members else "the drafter"
        self._model.absences.append(Absence(name, len(self._read), error.message))

    def _by_rejection(
        self, said: list[int], pending: list[int], sampling: Sampling, place: Place, count: int
    ) -> tuple[list[int], list[int], float, float]:
        assert self._classic is not None
        start = time.perf_counter()
        drafts, rows = self._classic.draft(said, count, sampling, place)
        middle = time.perf_counter()
        try:
            whole = self._target.feed(pending + drafts, Full()).logp
        except TooLong:
            if not drafts:
                raise
            drafts, rows = [], []
            whole = self._target.feed(pending, Full()).logp
        assert whole is not None
        own = whole[len(pending) :]
        new = emission(own, drafts, rows, self._model.vocabulary, sampling, place)
        kept = len(said) + len(new) - 1
        self._target.rewind(min(kept, len(said) + len(drafts)))
        return drafts, new, middle - start, time.perf_counter() - middle


class _Classic:
    """Drafts with the rows they were drawn from."""

    def __init__(self, model: Speculated, prompt: Prompt) -> None:
        self.prompt = prompt
        self._vocabulary = model.vocabulary
        self.reader = Reader(model.members[1], prompt)

    def draft(
        self, said: list[int], count: int, sampling: Sampling, place: Place
    ) -> tuple[list[int], list[torch.Tensor]]:
        drafts: list[int] = []
        rows: list[torch.Tensor] = []
        while len(drafts) < count:
            try:
                row = self.reader.rows(said + drafts, [])[-1]
            except TooLong:  # the target goes on without drafts
                break
            id = drawn(restricted(row, sampling), self._vocabulary, sampling, place, "draft")
            drafts.append(id)
            rows.append(row)
            if id in self._vocabulary.specials:
                break
            place = place.after(self._vocabulary, id)
        return drafts, rows
