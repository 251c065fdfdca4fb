"""A knowledge graph as a source: entities found in the question, relations chosen by a model's likelihood.

Think-on-Graph's walk (arXiv:2307.07697) for models too small to write a choice down: they score it. From each
entity named in the question paths are grown edge by edge, the most likely few are kept, and the triples on
them are what is found.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from renga.errors import UsageError
from renga.models.contract import Clearance, LanguageModel, Prompt
from renga.models.cooperation.likelihood import scored
from renga.models.cooperation.passages import Citation
from renga.models.cooperation.sources import Finding
from renga.models.cooperation.spans import tokens

MOST_HOPS = 3
MOST_NEIGHBOURS = 50  # of one entity by one relation: a hub says nothing


@dataclass(frozen=True)
class Triple:
    """subject relation object."""

    subject: str
    relation: str
    object: str

    def __str__(self) -> str:
        return f"{self.subject} – {spoken(self.relation)} – {self.object}"


@dataclass(frozen=True)
class Step:
    """One edge of a path: a relation, followed forwards or backwards."""

    relation: str
    forward: bool = True

    def __str__(self) -> str:
        return spoken(self.relation) if self.forward else f"is {spoken(self.relation)} of"


@dataclass(frozen=True)
class Walk:
    """Where a walk leads: from one entity by steps to `ends`, over `triples`."""

    start: str
    steps: tuple[Step, ...]
    ends: tuple[str, ...]
    triples: tuple[Triple, ...]
    score: float  # of the whole path, by whoever chose


class Graph:
    """Triples, by entity."""

    def __init__(self, triples: Iterable[Triple]) -> None:
        self.triples = list(dict.fromkeys(triples))
        self._edges: dict[str, dict[Step, list[Triple]]] = defaultdict(lambda: defaultdict(list))
        self._names: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for triple in self.triples:
            self._edges[triple.subject][Step(triple.relation)].append(triple)
            self._edges[triple.object][Step(triple.relation, forward=False)].append(triple)
        for entity in self._edges:
            self._names[tuple(tokens(entity))].append(entity)
        self._longest = max(map(len, self._names), default=0)

    def linked(self, question: str) -> list[str]:
        """The entities that the question names: the longest names first, none inside another's."""
        asked = tokens(question)
        taken = [False] * len(asked)
        found: list[str] = []
        for length in range(min(self._longest, len(asked)), 0, -1):
            for at in range(len(asked) - length + 1):
                name = tuple(asked[at : at + length])
                if name in self._names and not any(taken[at : at + length]):
                    taken[at : at + length] = [True] * length
                    found += self._names[name]
        return list(dict.fromkeys(found))

    def steps(self, entities: Iterable[str]) -> list[Step]:
        """The edges that lead on from `entities`, by name."""
        found = {step for entity in entities for step in self._edges.get(entity, {})}
        return sorted(found, key=lambda step: (step.relation, not step.forward))

    def follow(self, entities: Iterable[str], step: Step) -> list[Triple]:
        """The triples that `step` leads over; none from an entity with more than MOST_NEIGHBOURS of them."""
        rows = (self._edges.get(entity, {}).get(step, []) for entity in entities)
        return [triple for row in rows if len(row) <= MOST_NEIGHBOURS for triple in row]


Chooser = Callable[[str, str, Sequence[Step], Sequence[Step | None]], list[float]]


def walks(
    graph: Graph, question: str, score: Chooser, *, hops: int = MOST_HOPS, width: int = 3
) -> list[Walk]:
    """The likeliest paths of up to `hops` edges from the entities of `question`, the best first.

    score(question, start, steps so far, choices) says for each choice how well the path with it fits, the
    higher the better; None among the choices stands for "this is the end". width: paths that are kept after
    each edge.
    """
    going = [Walk(entity, (), (entity,), (), 0.0) for entity in graph.linked(question)]
    done: list[Walk] = []
    for hop in range(hops + 1):
        grown: list[Walk] = []
        for path in going:
            back = _reverse(path.steps[-1]) if path.steps else None
            steps = [step for step in graph.steps(path.ends) if step != back] if hop < hops else []
            choices: list[Step | None] = [*steps, *([None] if path.steps else [])]
            if not choices:
                continue
            for choice, worth in zip(choices, score(question, path.start, path.steps, choices), strict=True):
                grown.append(_grown(graph, path, choice, worth))
        grown = [path for path in grown if path.ends]
        best = sorted(grown, key=lambda path: -path.score)[:width]
        done += [path for path in best if len(path.steps) == hop]
        going = [path for path in best if len(path.steps) > hop]
    return sorted(done, key=lambda path: -path.score)[:width]


def _grown(graph: Graph, path: Walk, choice: Step | None, score: float) -> Walk:
    if choice is None:
        return Walk(path.start, path.steps, path.ends, path.triples, score)
    over = graph.follow(path.ends, choice)
    ends = dict.fromkeys(triple.object if choice.forward else triple.subject for triple in over)
    ends.pop(path.start, None)  # back where it came from
    kept = tuple(t for t in over if (t.object if choice.forward else t.subject) in ends)
    return Walk(path.start, (*path.steps, choice), tuple(ends), path.triples + kept, score)


def _reverse(step: Step) -> Step:
    return Step(step.relation, not step.forward)


class ByLikelihood:
    """Paths by how much likelier the question makes them: a model's log-probability of the path given the
    question, less that given none, in nats. What a small model likes to say anyway thereby cancels."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._blank: dict[str, float] = {}

    def __call__(
        self, question: str, start: str, steps: Sequence[Step], choices: Sequence[Step | None]
    ) -> list[float]:
        before = "".join(f" {step} →" for step in steps)
        said = [f"{before} {choice or 'answer'}" for choice in choices]
        missing = [path for path in said if path not in self._blank]
        self._blank |= dict(zip(missing, self._scores("", missing), strict=True))
        return [
            asked - self._blank[path] for asked, path in zip(self._scores(question, said), said, strict=True)
        ]

    def _scores(self, question: str, said: Sequence[str]) -> list[float]:
        if not said:
            return []
        frame = "Which relations lead from what the question names to its answer?\n"
        text = f"{frame}Question: {question}\nRelations:" if question else f"{frame}Relations:"
        return [found.total for found in scored(self._model, Prompt(text), said)]


class ByWords:
    """Paths by the words of the question that they account for, less half of one for every edge: no model,
    and the control for one."""

    def __call__(
        self, question: str, start: str, steps: Sequence[Step], choices: Sequence[Step | None]
    ) -> list[float]:
        asked = {_stem(word) for word in tokens(question)}
        found = []
        for choice in choices:
            path = [*steps, choice] if choice else list(steps)
            met = asked & {word for step in path for word in _telling(step)}
            # The small words only tell "founded by" from "founded in".
            small = asked & {_stem(word) for step in path for word in tokens(spoken(step.relation))}
            found.append(len(met) - 0.5 * len(path) + 0.01 * len(small))
        return found


def _telling(step: Step) -> list[str]:
    """The stems of a relation's words, without "by", "in" and their like where there are others."""
    words = tokens(spoken(step.relation))
    return [_stem(word) for word in words if len(word) > 2] or words


class GraphSource:
    """A graph, as a source: the triples on the likeliest paths. choose: by whom relations are chosen."""

    def __init__(
        self,
        graph: Graph,
        choose: Chooser,
        *,
        name: str = "graph",
        clearance: Clearance = Clearance.RAW,
        hops: int = MOST_HOPS,
        width: int = 3,
    ) -> None:
        if not 1 <= hops <= MOST_HOPS:
            raise UsageError(f"hops = {hops}: paths have 1 to {MOST_HOPS} edges")
        self.graph, self.choose, self.hops, self.width = graph, choose, hops, width
        self.name, self.clearance = name, clearance

    def find(self, question: str, k: int) -> list[Finding]:
        triples = dict.fromkeys(
            triple
            for path in walks(self.graph, question, self.choose, hops=self.hops, width=self.width)
            for triple in path.triples
        )
        return [
            Finding(f"{t.subject} {spoken(t.relation)} {t.object}.", Citation(self.name, detail=str(t)))
            for t in list(triples)[:k]
        ]


def spoken(relation: str) -> str:
    """A relation's name as words: "place_of_birth", "placeOfBirth" and "place of birth" are one."""
    parts = "".join(f" {c.lower()}" if c.isupper() else c for c in relation.rsplit("/", 1)[-1])
    return " ".join(parts.replace("_", " ").replace("-", " ").split())


def read_triples(path: Path) -> Graph:
    """A graph from a .tsv or .csv file of three columns, or a .jsonl file of three-element lists or objects
    with subject, relation and object. Raises UsageError that names file and line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: can't be read ({type(error).__name__})") from None
    rows: Iterable[tuple[int, object]]
    if path.suffix == ".jsonl":
        rows = ((n, _json(line, path, n)) for n, line in enumerate(text.split("\n"), 1) if line.strip())
    else:
        reader = csv.reader(text.splitlines(), delimiter="," if path.suffix == ".csv" else "\t")
        rows = ((n, row) for n, row in enumerate(reader, 1) if row)
    triples = []
    for number, row in rows:
        if isinstance(row, dict):
            row = [row.get(key) for key in ("subject", "relation", "object")]
        if not (
            isinstance(row, list) and len(row) == 3 and all(isinstance(x, str) and x.strip() for x in row)
        ):
            raise UsageError(f"{path}:{number}: not a triple", hint="subject, relation and object, all texts")
        triples.append(Triple(*(x.strip() for x in row)))
    if not triples:
        raise UsageError(f"{path}: no triples in it")
    return Graph(triples)


def _json(line: str, path: Path, number: int) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError(f"{path}:{number}: not JSON") from None


def _stem(word: str) -> str:
    """A word without the commonest endings: enough to meet "directed" with "director"."""
    for ending in ("ing", "ors", "ers", "or", "er", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word
