"""What can be asked for what it holds: passages, a graph, a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from renga.errors import UsageError
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


class Relay:
    """Several sources that build on one another: what they find to the question is asked about again.

    For questions that join what two of them know: "the mayor of the town where it stands" is found by whoever
    knows mayors only once somebody has said which town. rounds: of asking; each takes the best finding of
    every source with it.
    """

    def __init__(self, sources: Sequence[Source], *, rounds: int = 2, name: str = "relay") -> None:
        if not sources or rounds < 1:
            raise UsageError("a relay needs sources, and a round at least")
        self.sources, self.rounds, self.name = tuple(sources), rounds, name
        # As private as the most private of them.
        order = list(Clearance)
        self.clearance = min((source.clearance for source in sources), key=order.index)

    def find(self, question: str, k: int) -> list[Finding]:
        """The best findings of every round, the sources in turn; none twice."""
        kept: dict[tuple[str, str], Finding] = {}
        asked = question
        each = max(1, k // (self.rounds * len(self.sources)))
        for _ in range(self.rounds):
            best = []
            for source in self.sources:
                new = [f for f in source.find(asked, k) if (f.citation.source, f.text) not in kept][:each]
                kept |= {(f.citation.source, f.text): f for f in new}
                best += [f.text for f in new[:1]]
            asked = " ".join([question, *best])
        return list(kept.values())[:k]
