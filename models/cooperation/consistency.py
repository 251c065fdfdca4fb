"""Detectors that hold an answer against what is known: passages, a graph, a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from renga.models.contract import LanguageModel, Prompt
from renga.models.cooperation.detect import Mark
from renga.models.cooperation.graph import Graph, Triple, spoken
from renga.models.cooperation.likelihood import scored
from renga.models.cooperation.spans import Span, sentences, tokens
from renga.models.cooperation.values import Value, forms, held, values

Known = Sequence[str] | Callable[[Prompt], Sequence[str]]  # passages, or those for a question

YES, NO = "True", "False"


def _passages(known: Known, question: Prompt) -> Sequence[str]:
    return known(question) if callable(known) else known


class Exact:
    """Numbers, dates and names of an answer that stand in no passage and not in the question."""

    def __init__(self, known: Known, *, name: str = "exact") -> None:
        self._known = known
        self.name = name

    def inspect(self, question: Prompt, answer: str) -> list[Mark]:
        text = "\n".join([*_passages(self._known, question), question.text])
        inside = forms(text)
        found = values(answer)
        marks = []
        for span in sentences(answer):
            here = [value for value in found if value.span.meets(span)]
            missing = [value for value in here if not held(value, text, inside)]
            marks += [self._mark(value, answer) for value in missing]
            if not missing:
                marks.append(Mark(span, 0.0, "all its values stand in the passages", self.name))
        return marks

    def _mark(self, value: Value, answer: str) -> Mark:
        # A name may be written in other ways than a number.
        score = 0.7 if value.kind == "name" else 0.95
        reason = f"the {value.kind} {value.span.of(answer)!r} stands in no passage"
        return Mark(value.span, score, reason, self.name)


class Entailment:
    """Whether passages carry each sentence, by a model's likelihood of "True" against "False".

    What the model says of no passage at all is taken off (contextual calibration, arXiv:2102.09690). bias,
    scale: of the log-odds, from `fitted` on claims that were judged.
    """

    def __init__(
        self,
        known: Known,
        model: LanguageModel,
        *,
        bias: float = 0.0,
        scale: float = 1.0,
        name: str = "entailment",
    ) -> None:
        self._known, self._model, self._bias, self._scale = known, model, bias, scale
        self.name = name

    def inspect(self, question: Prompt, answer: str) -> list[Mark]:
        passages = " ".join(_passages(self._known, question))
        marks = []
        for span in sentences(answer):
            odds = self._scale * self.odds(passages, span.of(answer)) + self._bias
            score = 1 / (1 + math.exp(min(700.0, odds)))
            marks.append(Mark(span, score, f"carried by the passages with p = {1 - score:.2f}", self.name))
        return marks

    def odds(self, passages: str, claim: str) -> float:
        """Log-odds that `passages` carry `claim`, in nats, before bias and scale."""
        return self._raw(passages, claim) - self._raw("", claim)

    def _raw(self, passages: str, claim: str) -> float:
        question = (
            "Judge the claim from the passage alone. Answer True or False.\n"
            f"Passage: {passages or 'Nothing is known.'}\nClaim: {claim}"
        )
        yes, no = scored(self._model, Prompt(question), [YES, NO])
        return yes.total - no.total


class Facts:
    """Sentences that name a subject and a relation of a graph, and none of the objects it has there."""

    def __init__(self, graph: Graph, *, name: str = "facts") -> None:
        self._graph = graph
        self._groups: dict[str, dict[str, list[str]]] = {}
        for triple in graph.triples:
            self._groups.setdefault(triple.subject, {}).setdefault(triple.relation, []).append(triple.object)
        self.name = name

    def inspect(self, question: Prompt, answer: str) -> list[Mark]:
        asked = (
            question.text if len(sentences(answer)) == 1 else ""
        )  # an answer in a word leans on its question
        marks: list[Mark] = []
        for span in sentences(answer):
            marks += self._judged(span, span.of(answer), asked)
        return marks

    def _judged(self, span: Span, sentence: str, asked: str) -> Iterable[Mark]:
        spoken_of = set(tokens(f"{asked} {sentence}"))
        alone = " ".join(tokens(sentence))
        for subject in self._graph.linked(f"{asked} {sentence}"):
            for relation, objects in self._groups.get(subject, {}).items():
                # All of them: "founded in" and "founded by" are told apart by the small one.
                if not set(tokens(spoken(relation))) <= spoken_of:
                    continue
                true = [o for o in objects if f" {' '.join(tokens(o))} " in f" {alone} "]
                if true:
                    yield Mark(span, 0.0, f"{subject} – {spoken(relation)} – {true[0]}", self.name)
                else:
                    known = ", ".join(objects[:3])
                    yield Mark(span, 0.9, f"known is: {subject} – {spoken(relation)} – {known}", self.name)


def table_facts(rows: Iterable[Mapping[str, object]], key: str) -> Graph:
    """A table as facts: each row is about its `key`, each other column a relation."""
    return Graph(
        Triple(str(row[key]), column, str(cell))
        for row in rows
        for column, cell in row.items()
        if column != key and cell is not None and str(cell).strip()
    )
