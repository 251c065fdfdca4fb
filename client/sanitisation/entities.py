"""What is private in a text: kinds, spans, and the seam between those who find and those who replace.

A `Detector` proposes spans; `find` runs several, settles overlaps, and spreads what is known of a person or
thing over its other forms. Offsets are code points of the original text, end exclusive, so that
`text[e.start:e.end]` is what a person wrote, however strangely. Nothing here knows how a span is found.
"""

from __future__ import annotations

import time
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from renga.errors import RengaError


class Kind(StrEnum):
    """What a span says about whom. All but the last two identify somebody by themselves."""

    PERSON = "PERSON"
    ADDRESS = "ADDRESS"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    USERNAME = "USERNAME"
    CREDIT_CARD = "CREDIT_CARD"
    IBAN = "IBAN"
    BANK_ACCOUNT = "BANK_ACCOUNT"
    NATIONAL_ID = "NATIONAL_ID"
    PASSPORT = "PASSPORT"
    DRIVER_LICENSE = "DRIVER_LICENSE"
    HEALTH_ID = "HEALTH_ID"
    DOB = "DOB"
    IP_ADDRESS = "IP_ADDRESS"
    MAC_ADDRESS = "MAC_ADDRESS"
    VEHICLE_PLATE = "VEHICLE_PLATE"
    CRYPTO_WALLET = "CRYPTO_WALLET"
    ACCOUNT_ID = "ACCOUNT_ID"
    URL = "URL"
    SECRET = "SECRET"
    ORG = "ORG"
    LOCATION = "LOCATION"


QUASI: frozenset[Kind] = frozenset({Kind.ORG, Kind.LOCATION})
DIRECT: frozenset[Kind] = frozenset(Kind) - QUASI


class DetectionFailed(RengaError):
    """A detector broke or ran out of time: the prompt must not leave."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One private span. `value` is its normal form (what two spellings of one thing have in common: NFKC,
    without zero-width characters, digits of a number without separators); spans with the same `subject`
    are the same person or thing; None says that nobody looked. `certainty` (0 to 1) settles overlaps."""

    start: int
    end: int
    kind: Kind
    value: str
    subject: str | None = None
    certainty: float = 1.0


@dataclass(frozen=True, slots=True)
class Known:
    """What the conversation knows already: one subject and the normal forms in which it was met."""

    kind: Kind
    values: tuple[str, ...]
    subject: str


_PATIENCE = 20.0
"""A detector that waits instead of computing may take so many times the seconds it was given."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """After so much work nothing may go on looking: `cpu` is of `time.thread_time`, so that a busy machine
    stops no prompt, and belongs to the thread that made the deadline; `wall` is of `time.monotonic`, for what
    hangs."""

    cpu: float
    wall: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.thread_time() + seconds, time.monotonic() + _PATIENCE * seconds)

    def check(self) -> None:
        """Raise DetectionFailed when the time is over."""
        if time.thread_time() > self.cpu or time.monotonic() > self.wall:
            raise DetectionFailed(
                "looking for private text took too long; nothing was sent",
                hint="shorten the prompt, or leave out a detector that was plugged in",
            )


class Detector(Protocol):
    """Proposes spans, overlapping or not. `text` may hold anything, lone surrogates included; a detector
    that takes long asks `deadline.check()` now and then. Whatever it raises stops the prompt."""

    name: str

    def detect(self, text: str, known: Sequence[Known], deadline: Deadline) -> list[Entity]: ...


def find(
    text: str,
    known: Sequence[Known] = (),
    detectors: Sequence[Detector] = (),
    deadline: Deadline | None = None,
) -> list[Entity]:
    """The private spans of `text`, in order, without overlaps, with a subject each.

    Raises DetectionFailed when a detector fails or the deadline passes: there is no partial answer.
    """
    limit = deadline or Deadline.after(10.0 + len(text) / 50_000)
    found: list[Entity] = []
    for detector in detectors:
        limit.check()
        try:
            found += detector.detect(text, known, limit)
        except DetectionFailed:
            raise
        except Exception as error:  # noqa: BLE001 - a plugged-in detector may raise anything; it must stop the prompt
            # The error's own text may quote the prompt: it is not repeated, nor chained.
            raise DetectionFailed(
                f"the detector {detector.name!r} failed ({type(error).__name__}); nothing was sent",
                hint="if it is one of your own, see plug_in in sanitisation.toml; else this is a mistake in renga",
            ) from None
    limit.check()
    from renga.client.sanitisation.propagation import spread  # it builds on this module

    final = spread(text, settled(found, text), known)
    limit.check()
    return final


def settled(found: Sequence[Entity], text: str) -> list[Entity]:
    """Spans inside the text, in order, without overlaps: the more certain first, then the longer; what a
    loser covers beyond the winners stays covered, as spans of the loser's kind."""
    taken: list[Entity] = []
    for entity in sorted(found, key=lambda e: (-e.certainty, e.start - e.end, e.start)):
        if not 0 <= entity.start < entity.end <= len(text):
            raise DetectionFailed(f"a detector gave a span outside of the text ({entity.kind})")
        for piece in _uncovered(entity, taken, text):
            insort(taken, piece, key=_start)
    return taken


def _start(entity: Entity) -> int:
    return entity.start


def _uncovered(entity: Entity, taken: Sequence[Entity], text: str) -> list[Entity]:
    """What of `entity` the spans in `taken` (in order, without overlaps) leave, if anything worth a span."""
    at = max(bisect_right(taken, entity.start, key=_start) - 1, 0)
    here, pieces = entity.start, []
    while at < len(taken) and taken[at].start < entity.end:
        if taken[at].end > here:
            pieces.append((here, taken[at].start))
            here = taken[at].end
        at += 1
    pieces.append((here, entity.end))
    if pieces == [(entity.start, entity.end)]:
        return [entity]
    return [
        replace(entity, start=start, end=end, value=text[start:end])
        for start, end in (_stripped(text, *span) for span in pieces)
        if start < end
    ]


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """The span from its first to its last letter or digit."""
    while start < end and not text[start].isalnum():
        start += 1
    while start < end and not text[end - 1].isalnum():
        end -= 1
    return start, end
