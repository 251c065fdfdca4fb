"""What can be asked for what it holds: passages, a graph, a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from renga.models.contract import Clearance
from renga.models.cooperation.index import How, PassageIndex
from renga.models.cooperation.passages import Citation


@dataclass(frozen=True)
class Finding:
    """Something that bears on a question, and where it stands."""

    text: str
    citation: Citation


class Source(Protocol):
    """Whatever knows something. clearance: how far what it says may travel; a private one's is RAW."""

    @property
    def name(self) -> str: ...

    @property
    def clearance(self) -> Clearance: ...

    def find(self, question: str, k: int) -> Sequence[Finding]:
        """At most `k` findings, the best first. Raises RengaError when it can't be asked."""
        ...


class Passages:
    """The passages of an index, as a source."""

    def __init__(
        self,
        index: PassageIndex,
        *,
        name: str = "passages",
        clearance: Clearance = Clearance.RAW,
        how: How = "both",
    ) -> None:
        self.index = index
        self.name = name
        self.clearance = clearance
        self.how: How = how

    def find(self, question: str, k: int) -> list[Finding]:
        hits = self.index.search(question, k, self.how)
        return [Finding(hit.passage.text, hit.passage.citation) for hit in hits]
