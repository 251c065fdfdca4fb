"""Presidio's recognisers as a detector of ours: plug in what an organisation already wrote.

staff = PatternRecognizer("EMPLOYEE", patterns=[…])   # presidio-analyzer, not a dependency of Renga

and in `sanitisation.toml` `plug_in = ["staff.py:staff"]` (see `plugged`). A whole analyzer can be named, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from renga.client.sanitisation.entities import Deadline, Entity, Kind, Known
from renga.client.sanitisation.normal import normal


class Result(Protocol):
    """What Presidio's analyzer gives per span."""

    entity_type: str
    start: int
    end: int
    score: float


class Analyzer(Protocol):
    """`presidio_analyzer.AnalyzerEngine`, or what behaves like it."""

    def analyze(self, text: str, language: str) -> Iterable[Result]: ...


KINDS: Mapping[str, Kind] = {
    "PERSON": Kind.PERSON,
    "PHONE_NUMBER": Kind.PHONE,
    "EMAIL_ADDRESS": Kind.EMAIL,
    "CREDIT_CARD": Kind.CREDIT_CARD,
    "IBAN_CODE": Kind.IBAN,
    "US_BANK_NUMBER": Kind.BANK_ACCOUNT,
    "US_SSN": Kind.NATIONAL_ID,
    "US_ITIN": Kind.NATIONAL_ID,
    "UK_NINO": Kind.NATIONAL_ID,
    "IN_AADHAAR": Kind.NATIONAL_ID,
    "ES_NIF": Kind.NATIONAL_ID,
    "US_PASSPORT": Kind.PASSPORT,
    "US_DRIVER_LICENSE": Kind.DRIVER_LICENSE,
    "UK_NHS": Kind.HEALTH_ID,
    "MEDICAL_LICENSE": Kind.HEALTH_ID,
    "IP_ADDRESS": Kind.IP_ADDRESS,
    "MAC_ADDRESS": Kind.MAC_ADDRESS,
    "CRYPTO": Kind.CRYPTO_WALLET,
    "URL": Kind.URL,
    "LOCATION": Kind.LOCATION,
    "ORGANIZATION": Kind.ORG,
}
"""Presidio's names of what we have a kind for. A recogniser of one's own adds its own: Presidio(…, kinds=…)."""


class Recogniser:
    """Detector that asks one of Presidio's recognisers by itself. What its owner called something that we have
    no kind for is an account of some sort: it was plugged in to be hidden."""

    def __init__(self, recogniser: Any, at_least: float = 0.4) -> None:
        self._recogniser, self._at_least = recogniser, at_least
        self.name = str(getattr(recogniser, "name", "recogniser"))

    def detect(self, text: str, known: Sequence[Known], deadline: Deadline) -> list[Entity]:
        found = self._recogniser.analyze(text, self._recogniser.supported_entities, None)
        own = {kind.value: kind for kind in Kind}
        return _entities(
            text, found, self._at_least, lambda type: KINDS.get(type) or own.get(type, Kind.ACCOUNT_ID)
        )


class Presidio:
    """Detector that asks an analyzer, in each of its languages."""

    name = "presidio"

    def __init__(
        self,
        analyzer: Analyzer,
        *,
        languages: Sequence[str] = ("en",),
        kinds: Mapping[str, Kind] = KINDS,
        at_least: float = 0.4,
    ) -> None:
        self._analyzer, self._languages = analyzer, tuple(languages)
        self._kinds, self._at_least = dict(kinds), at_least

    def detect(self, text: str, known: Sequence[Known], deadline: Deadline) -> list[Entity]:
        found: list[Entity] = []
        for language in self._languages:
            deadline.check()
            results = self._analyzer.analyze(text=text, language=language)
            found += _entities(text, results, self._at_least, self._kinds.get)
        return found


def _entities(
    text: str, results: Iterable[Result], at_least: float, kind_of: Callable[[str], Kind | None]
) -> list[Entity]:
    found = []
    for result in results or ():
        kind = kind_of(result.entity_type)
        if kind is not None and result.score >= at_least and result.start < result.end:
            value = normal(kind, text[result.start : result.end])
            certainty = min(0.9, result.score)
            found.append(Entity(result.start, result.end, kind, value, certainty=certainty))
    return found
