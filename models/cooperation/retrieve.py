"""Answers from sources: what bears on the question is found, put before it, and cited behind the answer.

A prompt is as private as the most private thing in it: with a finding from a private source it is raw, and no
encoder lets it leave. Who wants a host to answer it puts a sanitiser between: retrieve(sanitise(host), …).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from renga.errors import RengaError, UsageError
from renga.models.composed import parts_of
from renga.models.contract import Clearance, LanguageModel, Piece, Prompt, Responder, Sampling
from renga.models.cooperation.passages import Citation
from renga.models.cooperation.sources import Finding, Source
from renga.models.cooperation.spans import Span, sentences, tokens
from renga.models.responders import respond_by

_FREEDOM = {Clearance.RAW: 0, Clearance.SANITISED: 1, Clearance.PUBLIC: 2}
_COMMON = 4  # letters that a word has at least if it counts as evidence


@dataclass(frozen=True)
class Cited(Piece):
    """The last piece of an answer: its sources.

    citations: what was read, by number from 1. marks: which sentence of the answer rests on which of them.
    notices: what could not be asked or read whole, and why.
    """

    citations: tuple[Citation, ...] = ()
    marks: tuple[tuple[Span, int], ...] = ()
    notices: tuple[str, ...] = ()


class Retrieving:
    """A responder that looks things up first; see `retrieve`."""

    def __init__(
        self,
        responder: Responder | LanguageModel,
        sources: Sequence[Source],
        k: int,
        room: int,
        count: Callable[[str], int],
    ) -> None:
        self.responder = responder
        self.sources = tuple(sources)
        self._k, self._count = k, count
        # Half of what the model has learned to look back on: the question and the answer need some, too.
        self._room = min([room, *(each // 2 for each in _contexts(responder))])
        self._cut = f"what was found is cut to {self._room} tokens, half of the model's context"
        self._cut = self._cut if self._room < room else ""

    @property
    def members(self) -> tuple[Responder | LanguageModel, ...]:
        return (self.responder,)

    def find(self, question: str) -> tuple[list[Finding], Clearance, list[str]]:
        """What the sources say to a question, how far it may travel, and which could not be asked.

        The best of each come first, in turn; at most `k`, and no more than fits.
        """
        notices, found = [], []
        for source in self.sources:
            try:
                found.append([(finding, source.clearance) for finding in source.find(question, self._k)])
            except RengaError as error:
                notices.append(f"not asked: {error.message}")
        turns = itertools.zip_longest(*found)
        ranked = [hit for turn in turns for hit in turn if hit is not None][: self._k]
        kept, left, whole = [], self._room, True
        for finding, clearance in ranked:
            text = fitted(finding.text, question, left - 8, self._count)
            whole &= text == finding.text
            if text:
                kept.append((Finding(text, finding.citation), clearance))
                left -= self._count(text) + 8
        if self._cut and not whole:
            notices.append(self._cut)
        travels = min((c for _, c in kept), key=_FREEDOM.__getitem__, default=Clearance.PUBLIC)
        return [finding for finding, _ in kept], travels, notices

    def respond(self, prompt: Prompt, sampling: Sampling) -> Iterator[Piece]:
        findings, clearance, notices = self.find(prompt.text)
        asked = replace(
            prompt.asking(framed(prompt.text, findings)),
            clearance=min(prompt.clearance, clearance, key=_FREEDOM.__getitem__),
        )
        parts: list[str] = []
        for piece in respond_by(self.responder, asked if findings else prompt, sampling):
            parts.append(piece.text)
            yield piece
        answer = "".join(parts)
        marks = tuple(supported(answer, findings))
        numbers = sorted({number for _, number in marks}) or range(1, len(findings) + 1)
        lines = [f"[{number}] {findings[number - 1].citation}" for number in numbers]
        lines += [f"({notice})" for notice in notices]
        citations = tuple(finding.citation for finding in findings)
        yield Cited("\n\n" + "\n".join(lines) if lines else "", citations, marks, tuple(notices))


def retrieve(
    responder: Responder | LanguageModel,
    sources: Sequence[Source],
    *,
    k: int = 4,
    room: int = 600,
    count: Callable[[str], int] | None = None,
) -> Retrieving:
    """A responder that answers from `sources`: at most `k` findings, together of at most `room` tokens and of
    half of what its models can look back on.

    count: tokens of a text; by the responder's own vocabulary where it has one, else bytes / 3. A source that
    fails is named behind the answer, which then goes without it.
    """
    if k < 1 or room < 16:
        raise UsageError(
            f"k = {k}, room = {room}: nothing could be read", hint="k from 1, room from 16 tokens"
        )
    vocabulary = getattr(responder, "vocabulary", None)
    if count is None and vocabulary is not None:
        count = lambda text: len(vocabulary.encode(text))  # noqa: E731
    return Retrieving(responder, sources, k, room, count or (lambda text: 1 + len(text.encode()) // 3))


def _contexts(responder: object) -> list[int]:
    """How many tokens the models in it that are here read, where they say so."""
    held = [(part, weights) for part in parts_of(responder) if (weights := getattr(part, "weights", None))]
    found = [getattr(part, "tokens", None) or weights.context for part, weights in held]
    return [each for each in found if each]


def framed(question: str, findings: Sequence[Finding]) -> str:
    """The question behind what was found. A finding takes one line, whatever it holds."""
    lines = (f"[{n}] {' '.join(f.text.split())}" for n, f in enumerate(findings, start=1))
    return "Answer from these passages.\n" + "\n".join(lines) + f"\n\n{question}"


def fitted(text: str, question: str, room: int, count: Callable[[str], int]) -> str:
    """`text` if it has at most `room` tokens; else those of its sentences that share most with the question,
    in their order; "" if not even one fits."""
    if count(text) <= room:
        return text
    asked = set(tokens(question))
    parts = sentences(text)
    worth = [(-len(asked & set(tokens(span.of(text)))), i) for i, span in enumerate(parts)]
    kept: list[int] = []
    for _, i in sorted(worth):
        tried = sorted([*kept, i])
        if count(" ".join(parts[j].of(text) for j in tried)) <= room:
            kept = tried
    return " ".join(parts[j].of(text) for j in kept)


def supported(answer: str, findings: Sequence[Finding]) -> Iterator[tuple[Span, int]]:
    """For each sentence of `answer` the finding it rests on, counted from 1: the one that holds all its
    numbers and most of its longer words, at least half of them. None where there is no such finding."""
    held = [set(tokens(finding.text)) for finding in findings]
    for span in sentences(answer):
        said = set(tokens(span.of(answer)))
        numbers = {word for word in said if any(letter.isdigit() for letter in word)}
        telling = numbers | {word for word in said if len(word) >= _COMMON}
        shares = [len(telling & words) if numbers <= words else 0 for words in held]
        if telling and shares and 2 * max(shares) >= len(telling):
            yield span, 1 + shares.index(max(shares))
