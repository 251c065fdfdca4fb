"""Presidio's recognisers as a detector of ours: plug in what an organisation already wrote.

analyzer = AnalyzerEngine(...)                  # presidio-analyzer, not a dependency of Renga
find(text, detectors=detectors(plugged=[Presidio(analyzer, languages=("en",))]))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

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
        found = []
        for language in self._languages:
            deadline.check()
            for result in self._analyzer.analyze(text=text, language=language):
                kind = self._kinds.get(result.entity_type)
                if kind is not None and result.score >= self._at_least and result.start < result.end:
                    value = normal(kind, text[result.start : result.end])
                    certainty = min(0.9, result.score)
                    found.append(Entity(result.start, result.end, kind, value, certainty=certainty))
        return found
