"""Passages of documents, each with the place it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from renga.models.cooperation.documents import Document
from renga.models.cooperation.spans import Span, sentences, trimmed


@dataclass(frozen=True)
class Citation:
    """Where something stands. span: characters of the source's text; None where a source has no text (then
    `detail` says which rows or triples)."""

    source: str
    span: Span | None = None
    page: int = 0
    detail: str = ""

    def __str__(self) -> str:
        page = f", page {self.page}" if self.page else ""
        place = f", characters {self.span.start}–{self.span.end}" if self.span else ""
        return f"{self.source}{page}{place}{f', {self.detail}' if self.detail else ''}"


@dataclass(frozen=True)
class Passage:
    """A piece of a document: `text` is exactly what stands at the citation's span."""

    text: str
    citation: Citation


def passages_of(document: Document, *, size: int = 600, overlap: int = 1) -> list[Passage]:
    """Passages of whole sentences, up to `size` characters each; each begins with the last `overlap`
    sentences of the one before. A sentence longer than that is cut between words."""
    return [
        Passage(span.of(document.text), Citation(document.source, span, document.page(span.start)))
        for span in _spans(document.text, size, overlap)
    ]


def _spans(text: str, size: int, overlap: int) -> Iterator[Span]:
    units = [part for sentence in sentences(text) for part in pieces(text, sentence, size)]
    first = 0
    while first < len(units):
        last = first
        while last + 1 < len(units) and units[last + 1].end - units[first].start <= size:
            last += 1
        yield Span(units[first].start, units[last].end)
        if last + 1 == len(units):
            return
        first = max(first + 1, last + 1 - overlap)
        if units[min(last + 1, len(units) - 1)].end - units[first].start > size:
            first = last + 1  # the overlap would leave no room for anything new


def pieces(text: str, span: Span, size: int) -> Iterator[Span]:
    """`span` in parts of at most `size` characters, cut at spaces where there are any."""
    start = span.start
    while span.end - start > size:
        space = text.rfind(" ", start + size // 2, start + size)
        end = space if space > 0 else start + size
        if (part := trimmed(text, Span(start, end))).length:
            yield part
        start = end
    if (part := trimmed(text, Span(start, span.end))).length:
        yield part
