"""Models made of models.

Whoever makes a model of others says how their rows become one, and has the whole contract for it:

    class Average:                       # combines rows that all have the same vocabulary
        def __call__(self, rows, places):
            return torch.stack(rows).logsumexp(0) - math.log(len(rows))   # [places, vocabulary]

    model = Composed([a, b], Average())

`rows` holds one tensor [places, vocabulary] of natural log-probabilities for each member, in order; what is
given back has the same shape and is normalised along the last axis. It must be a function of the rows and of
what `places` says, and of nothing else: then feeding at once or token by token gives the same rows, and a
rewind is right by itself. What a rule needs of the past (an attribute's score so far) it computes from
`places.read`. `RowsSession` is the base below that, for whoever makes rows in another way.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch

from renga.errors import RengaError, UsageError
from renga.models.context import TooLong
from renga.models.contract import Answer, Full, LanguageModel, Prompt, Scores, Session, TopK, Verify, Want
from renga.models.local import answered
from renga.models.meter import Meter, added
from renga.models.vocabulary import Vocabulary

ALL_WANTS: frozenset[type[Want]] = frozenset({Full, TopK, Scores, Verify})

T = TypeVar("T")


@dataclass(frozen=True)
class Places:
    """Where rows stand: the first behind `read`, the answer so far, then one behind each of `fed`.

    present: which members the rows are of; all of them, unless some may leave and did.
    """

    prompt: Prompt
    read: Sequence[int]
    fed: Sequence[int]
    present: Sequence[int] = ()

    def before(self, place: int) -> list[int]:
        """The ids that stand before a place, 0 being the first."""
        return [*self.read, *self.fed[:place]]


class Combine(Protocol):
    """Makes one row of the members' rows at every place; see the module."""

    def __call__(self, rows: Sequence[torch.Tensor], places: Places) -> torch.Tensor: ...


class RowsSession(ABC):
    """The whole contract of a session from one question: `_rows`."""

    def __init__(self, prompt: Prompt, vocabulary: Vocabulary) -> None:
        self._prompt = prompt
        self._vocabulary = vocabulary
        self._ids: list[int] = []
        self._boundary: torch.Tensor | None = None

    @abstractmethod
    def _rows(self, read: list[int], fed: list[int]) -> torch.Tensor:
        """Log-probabilities behind `read` and behind each of `fed`: [len(fed) + 1, vocabulary].

        What was asked about before may have been longer or other than `read`: it was rewound since.
        """

    @property
    def length(self) -> int:
        """Ids read since the session opened."""
        return len(self._ids)

    def feed(self, ids: Sequence[int], want: Want = Full()) -> Answer:
        """Read `ids`; answer for the current place and the one after each id (see `contract.Answer`)."""
        self._vocabulary.bytes_of(ids)  # ids of another vocabulary are refused
        fed = list(ids)
        if not fed and self._boundary is not None:
            rows = self._boundary
        else:
            try:
                rows = self._rows(self._ids, fed)
            except TooLong:  # drafts end no answer: what stands before them is verified alone
                if not isinstance(want, Verify) or len(fed) < 2:
                    raise
                fed = fed[:1]
                rows = self._rows(self._ids, fed)
            if self._boundary is not None:  # said before: of other last bits, a choice could differ
                rows = torch.cat([self._boundary, rows[1:]])
        self._ids += fed
        self._boundary = rows[-1:].clone()
        answer = answered(rows, fed, want, self._vocabulary)
        if isinstance(want, Verify):
            assert answer.ids is not None
            agreed = len(answer.ids) - 1
            self.rewind(self.length - len(fed) + agreed)
            self._boundary = rows[agreed : agreed + 1].clone()
        return answer

    def rewind(self, length: int) -> None:
        """Forget everything after the first `length` ids read since the session opened."""
        if not 0 <= length <= self.length:
            raise ValueError(f"can't rewind to {length}: {self.length} ids were read")
        if length < self.length:
            self._ids = self._ids[:length]
            self._boundary = None

    def close(self) -> None:
        """Let go of what is held, here and elsewhere."""
        self._boundary = None


@dataclass(frozen=True)
class Absence:
    """A member that was left out, from which place of the answer on, and why."""

    member: str
    place: int  # ids read
    why: str

    def __str__(self) -> str:
        return f"{self.member} was left out from token {self.place + 1} on: {self.why}"


class Composed:
    """A model over the members' common vocabulary whose rows `combine` makes of theirs.

    wants: what is asked of each member, `Full()` or `TopK(k)`; of a member across the network better the
    latter (unlisted tokens then share the remaining mass evenly: by definition, that is the member's row).
    may_leave: a member that fails or, with `patience` in seconds, is late is left out, and `absences` says
    so; `combine` then gets fewer rows. Otherwise its error ends the answer. Members are read side by side.
    Raises UsageError for members of different vocabularies: see `renga.models.ensemble.translate`.
    """

    offers = ALL_WANTS

    def __init__(
        self,
        members: Sequence[LanguageModel],
        combine: Combine,
        *,
        wants: Sequence[Want] | None = None,
        may_leave: bool = False,
        patience: float | None = None,
    ) -> None:
        if not members:
            raise UsageError("a model of models needs at least one member")
        first = members[0].vocabulary
        for number, member in enumerate(members[1:], 2):
            if not same_vocabulary(member.vocabulary, first):
                raise UsageError(
                    f"member {number} ({name_of(member)}) has another vocabulary than the first "
                    f"({name_of(members[0])})",
                    hint="align it: fuse(…, align='string'), translate(model, like) or bytewise(model)",
                )
        self.members = tuple(members)
        self.combine = combine
        self.wants = tuple(wants) if wants is not None else (Full(),) * len(members)
        self.may_leave = may_leave
        self.patience = patience
        self.absences: list[Absence] = []
        for member, want in zip(self.members, self.wants, strict=True):
            if type(want) not in member.offers:
                raise UsageError(f"{name_of(member)} gives no {type(want).__name__} rows")

    @property
    def vocabulary(self) -> Vocabulary:
        return self.members[0].vocabulary

    @property
    def meter(self) -> Meter:
        """The sum over all models in it."""
        return total(self)

    def open(self, prompt: Prompt) -> ComposedSession:
        """A session that has read `prompt` in every member."""
        return ComposedSession(self, prompt)


class ComposedSession(RowsSession):
    """One conditioned model made of the members' sessions."""

    def __init__(self, model: Composed, prompt: Prompt) -> None:
        super().__init__(prompt, model.vocabulary)
        self._model = model
        self._voices: list[Voice | None] = []
        for index, (member, want) in enumerate(zip(model.members, model.wants, strict=True)):
            try:
                self._voices.append(Voice(member, prompt, want))
            except RengaError as error:
                if not model.may_leave:
                    raise
                self._voices.append(None)
                self._leave(index, error.message, 0)
        self._some_left()

    def _rows(self, read: list[int], fed: list[int]) -> torch.Tensor:
        heard = self._heard(read, fed)
        rows = [row for row in heard if row is not None]
        present = tuple(index for index, row in enumerate(heard) if row is not None)
        return self._model.combine(rows, Places(self._prompt, read, fed, present))

    def _heard(self, read: list[int], fed: list[int]) -> list[torch.Tensor | None]:
        """Each member's rows; None for one that was left out."""
        voices = [(i, voice) for i, voice in enumerate(self._voices) if voice]
        if all(voice.late for _, voice in voices):
            wait([voice.busy for _, voice in voices if voice.busy], return_when="FIRST_COMPLETED")
        # The last one needs no thread, if there is no clock to look at meanwhile.
        here = voices[-1][0] if self._model.patience is None else -1
        asked = [(i, voice, voice.ask(read, fed, here=i == here)) for i, voice in voices]
        waited: list[Future[torch.Tensor]] = [future for *_, future in asked if future]
        wait(waited, timeout=self._model.patience, return_when="ALL_COMPLETED")
        if not any(future.done() for future in waited):
            wait(waited, return_when="FIRST_COMPLETED")
        heard: list[torch.Tensor | None] = [None] * len(self._voices)
        for index, voice, future in asked:
            if future is None or not future.done():
                self._leave(index, "it was late", len(read) + len(fed))
                continue
            try:
                heard[index] = future.result()
            except RengaError as error:
                if not self._model.may_leave:
                    raise
                self._leave(index, error.message, len(read) + len(fed))
                self._voices[index] = None
                voice.close()
        self._some_left()
        return heard if any(row is not None for row in heard) else self._heard(read, fed)

    def _leave(self, index: int, why: str, place: int) -> None:
        name = name_of(self._model.members[index])
        known = self._model.absences
        if not any(a.member == name and a.why == why for a in known):
            known.append(Absence(name, place, why))

    def _some_left(self) -> None:
        if not any(self._voices):
            why = "; ".join(f"{a.member}: {a.why}" for a in self._model.absences)
            raise RengaError(f"no member is left to answer ({why})")

    def close(self) -> None:
        super().close()
        for voice in self._voices:
            if voice:
                voice.close()


class Reader:
    """A session that is brought to wherever it is asked about, and reads nothing it has read."""

    def __init__(self, model: LanguageModel, prompt: Prompt, want: Want = Full()) -> None:
        self._session: Session = model.open(prompt)
        self._size = model.vocabulary.size
        self._want = want
        self._ids: list[int] | None = []  # read by the session; None: a feed failed, so not known

    def rows(self, read: list[int], fed: list[int]) -> torch.Tensor:
        """Rows behind `read` and behind each of `fed`: [len(fed) + 1, vocabulary]."""
        had = self._ids
        if had is None:
            self._session.rewind(0)
            had = []
        kept = common_length(had, read)
        self._ids = None
        if kept < len(had):
            self._session.rewind(kept)
        try:
            answer = self._session.feed(read[kept:] + fed, self._want)
        except TooLong:
            self._ids = had[:kept]
            raise
        self._ids = read + fed
        return dense(answer, self._size)[-(len(fed) + 1) :]

    def close(self) -> None:
        close_session(self._session)


class Voice:
    """A member, asked in a thread of its own."""

    def __init__(self, model: LanguageModel, prompt: Prompt, want: Want) -> None:
        self._reader = Reader(model, prompt, want)
        self.busy: Future[torch.Tensor] | None = None

    @property
    def late(self) -> bool:
        """Whether the last question is still open."""
        return self.busy is not None and not self.busy.done()

    def ask(self, read: list[int], fed: list[int], *, here: bool) -> Future[torch.Tensor] | None:
        """Rows behind `read` and each of `fed`, some time; None while the last question is open.

        here: answer in this thread, at once.
        """
        if self.late:
            return None
        self.busy = future_of(self._reader.rows, list(read), list(fed), here=here)
        return self.busy

    def close(self) -> None:
        self._reader.close()


def dense(answer: Answer, size: int) -> torch.Tensor:
    """Whole rows [places, size] of full or top-k ones; unlisted tokens share the remaining mass evenly."""
    assert answer.logp is not None
    if answer.ids is None:
        return answer.logp
    assert answer.tail is not None
    others = size - answer.ids.shape[1]
    if not others:
        return torch.empty_like(answer.logp).scatter(1, answer.ids, answer.logp)
    rows = (answer.tail - math.log(others)).unsqueeze(1).expand(-1, size).clone()
    return rows.scatter(1, answer.ids, answer.logp)


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many leading ids two sequences share."""
    if len(one) <= len(other) and list(other[: len(one)]) == list(one):
        return len(one)
    return next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def same_vocabulary(one: Vocabulary, other: Vocabulary) -> bool:
    """Whether ids mean the same in both."""
    return one is other or (one.size == other.size and one.fingerprint == other.fingerprint)


def want_of(model: object, rows: int) -> Want:
    """What to ask of a model: whole rows of one here, its `rows` best tokens (0: whole rows) of one
    elsewhere."""
    return TopK(rows) if rows and hasattr(model, "dial") else Full()


def name_of(model: object) -> str:
    """How a model is called in messages."""
    named = getattr(model, "name", None) or getattr(getattr(model, "weights", None), "reference", None)
    return str(named or type(model).__name__)


def parts_of(model: object) -> list[Any]:
    """The model and all that it is made of, each once."""
    found: list[Any] = []

    def visit(part: Any) -> None:
        if not any(part is known for known in found):
            found.append(part)
            for inner in getattr(part, "members", ()):
                visit(inner)

    visit(model)
    return found


def total(model: object) -> Meter:
    """What all models in it have cost; one that several share is counted once."""
    meters: list[Meter] = []
    for part in parts_of(model):
        meter = None if getattr(part, "members", None) else getattr(part, "meter", None)
        if meter is not None and not any(meter is known for known in meters):
            meters.append(meter)
    return added(meters)


def absences(model: object) -> list[Absence]:
    """Who was left out of the answers of a model, and of all that it is made of."""
    return [absence for part in parts_of(model) for absence in getattr(part, "absences", ())]


def close_session(session: object) -> None:
    """Close a session that can be closed."""
    close = getattr(session, "close", None)
    if close is not None:
        close()


def future_of(call: Callable[..., T], *arguments: Any, here: bool) -> Future[T]:
    """The call's result, made here and now, or in a daemon thread: one that hangs keeps nobody waiting."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call(*arguments))
        except BaseException as error:  # noqa: BLE001 it belongs to whoever asked
            future.set_exception(error)

    if here:
        run()
    else:
        threading.Thread(target=run, daemon=True, name="member").start()
    return future
