"""What a conversation knows: which surrogate stands for what, and where a person's own text had it.

Held in memory here; `vault` keeps the same on disk, sealed. Used by several threads: whoever adds something
does it inside `changing()`, which is one at a time, and leaves nothing behind if it fails.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from renga.client.sanitisation.entities import Kind, Known
from renga.client.sanitisation.tags import LITERAL, Tag, draw_suffix


@dataclass(frozen=True, slots=True)
class Pair:
    """A surrogate and what it stands for, as it was written.

    value, subject: as in `Entity`. number, form: of its tag. tag: it is a tag, not a realistic surrogate.
    """

    surrogate: str
    original: str
    kind: str
    value: str
    subject: str
    number: int
    form: int
    tag: bool = True


@dataclass(frozen=True, slots=True)
class Home:
    """A place in a link or an attribute where a person's own text had this surrogate; see `sinks`."""

    surrogate: str
    place: str


Item = Pair | Home


class Conversation:
    """Surrogates that are the same throughout, and mean nothing in another conversation. suffix: of its tags.
    shift: days by which its dates move."""

    def __init__(self, suffix: str = "", shift: int = 0) -> None:
        self.suffix = suffix or draw_suffix()
        self.shift = shift or draw_shift()
        self.pairs: list[Pair] = []
        self._originals: dict[tuple[str, str, bool], Pair] = {}
        self._realistic: dict[str, list[Pair]] = {}
        self._tags: dict[tuple[int, int], Pair] = {}
        self._numbers: dict[str, int] = {}
        self._forms: dict[int, int] = {}
        self._homes: set[Home] = set()
        self._fresh: list[Item] = []
        self._lock = threading.RLock()

    def known(self) -> list[Known]:
        """For detectors: whom and what this conversation has met."""
        met: dict[tuple[str, str], dict[str, None]] = {}
        for pair in self.pairs:
            if pair.kind != LITERAL:
                met.setdefault((pair.kind, pair.subject), {})[pair.value] = None
        return [Known(Kind(kind), tuple(values), subject) for (kind, subject), values in met.items()]

    def pair_of(self, kind: str, original: str, *, tag: bool) -> Pair | None:
        """The pair of exactly this text, if it has one."""
        return self._originals.get((kind, original, tag))

    def realistic(self, subject: str) -> list[Pair]:
        """What stands for forms of `subject` and is no tag."""
        return self._realistic.get(subject, [])

    @property
    def posing(self) -> int:
        """How many subjects have something realistic."""
        return len(self._realistic)

    def tagged(self, number: int, form: int) -> Pair | None:
        """What a tag with this number and form stands for."""
        return self._tags.get((number, form))

    def at_home(self, surrogate: str, place: str) -> bool:
        """Whether a person's own text had the surrogate in this place."""
        return Home(surrogate, place) in self._homes

    def refresh(self) -> None:
        """See what others added."""

    @contextmanager
    def changing(self) -> Iterator[None]:
        """What is added inside is kept as a whole, or, when something is raised, not at all."""
        with self._lock:
            pairs, homes = len(self.pairs), set(self._homes)
            try:
                yield
                self._keep(self._fresh)
            except BaseException:
                kept = self.pairs[:pairs]
                self._forget()
                self._take([*kept, *homes])
                raise
            finally:
                self._fresh = []

    def next_tag(self, kind: str, subject: str) -> Tag:
        """The tag of the next form of `subject`."""
        number = self._numbers.get(subject, len(self._numbers) + 1)
        return Tag(kind, number, self._forms.get(number, 0), self.suffix)

    def add(self, item: Item) -> None:
        """Inside `changing` only."""
        if isinstance(item, Pair) or item not in self._homes:
            self._take([item])
            self._fresh.append(item)

    def _take(self, items: list[Item]) -> None:
        for item in items:
            if isinstance(item, Home):
                self._homes.add(item)
                continue
            self.pairs.append(item)
            self._originals[item.kind, item.original, item.tag] = item
            if not item.tag:
                self._realistic.setdefault(item.subject, []).append(item)
            self._numbers.setdefault(item.subject, item.number)
            self._forms[item.number] = max(item.form + 1, self._forms.get(item.number, 0))
            self._tags[item.number, item.form] = item

    def _forget(self) -> None:
        self.pairs.clear()
        self._homes.clear()
        for known in (self._originals, self._realistic, self._tags, self._numbers, self._forms):
            known.clear()

    def _keep(self, items: list[Item]) -> None:
        """Write down what is new. Raises RengaError if that can't be done."""


def draw_shift() -> int:
    """A month to a year, to either side."""
    return secrets.choice((-1, 1)) * (30 + secrets.randbelow(336))
