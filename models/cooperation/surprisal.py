"""What parts of a text are worth, by a small model: what it expects anyway can go.

Selective Context (arXiv:2310.06201) asks how surprising a part is; LLMLingua (arXiv:2310.05736) asks it of a
segment behind what was kept of those before; LongLLMLingua (arXiv:2310.06839) asks how much less surprising
it is once the question is known, and ranks whole passages by how well they foretell the question.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from renga.models.contract import LanguageModel, Prompt
from renga.models.cooperation.likelihood import scored
from renga.models.cooperation.prune import Score
from renga.models.cooperation.spans import Span, tokens

WINDOW = 1200  # characters that are read at once
MEMORY = 600  # characters before them that are read again


def by_surprisal(model: LanguageModel, question: str = "") -> Score:
    """Units by their surprisal, in nats; with a question, by how much of it the question takes away, and as
    much again for what is surprising at all."""

    def score(text: str, units: Sequence[Span]) -> list[float]:
        plain = surprisals(model, text)
        if question:
            told = surprisals(model, text, f"Read this to answer: {question}")
            plain = (plain - told) + 0.5 * plain
        # Per character: longer units are not worth more for being long.
        return [float(plain[unit.start : unit.end].sum()) / max(1, unit.length) ** 0.5 for unit in units]

    return score


def progressive(model: LanguageModel, share: float, question: str = "") -> Score:
    """LLMLingua's order: each segment is read behind what was kept of those before it, `share` of each, and a
    unit's worth is its surprisal there in ranks of its segment, so that all segments keep the same share."""

    def score(text: str, units: Sequence[Span]) -> list[float]:
        worth = [0.0] * len(units)
        kept = ""
        for segment in _segments(units):
            start, end = units[segment[0]].start, units[segment[-1]].end
            costs = _read(
                model, f"Read this to answer: {question}" if question else "", kept[-MEMORY:], text[start:end]
            )
            sums = [float(costs[units[i].start - start : units[i].end - start].sum()) for i in segment]
            order = np.argsort(np.argsort(np.array(sums), kind="stable"), kind="stable")
            for place, i in enumerate(segment):
                worth[i] = (float(order[place]) + 0.5) / len(segment)
            kept += "".join(units[i].of(text) for i in segment if worth[i] > 1 - share)
        return worth

    return score


def by_question(model: LanguageModel, question: str) -> Score:
    """Units (sentences, passages) by how well they foretell the question: its log-likelihood behind each."""

    def score(text: str, units: Sequence[Span]) -> list[float]:
        found = []
        for unit in units:
            said = " ".join(unit.of(text).split())
            (likelihood,) = scored(model, Prompt(f"{said}\nWhich question does this answer?"), [question])
            found.append(likelihood.per_byte)
        return found

    return score


def by_shared_words(question: str) -> Score:
    """Units by the words they share with the question, rare ones more: no model."""

    def score(text: str, units: Sequence[Span]) -> list[float]:
        held = [set(tokens(unit.of(text))) for unit in units]
        asked = set(tokens(question))
        known = {word: sum(word in words for words in held) for word in asked}
        return [sum(1 / known[word] for word in asked & words) for words in held]

    return score


def by_chance(seed: int) -> Score:
    """Units in random order: a control."""

    def score(text: str, units: Sequence[Span]) -> list[float]:
        generator = random.Random(f"{seed}:{text}")
        return [generator.random() for _ in units]

    return score


def by_place(text: str, units: Sequence[Span]) -> list[float]:
    """The first units most: truncation, a control."""
    return [-float(i) for i in range(len(units))]


def surprisals(model: LanguageModel, text: str, instruction: str = "") -> NDArray[np.float64]:
    """Nats per character of `text`, [characters]: those of a token stand spread over its bytes' characters.

    A long text is read in windows, each behind the end of the one before.
    """
    parts = []
    for start in range(0, len(text), WINDOW):
        memory = text[max(0, start - MEMORY) : start]
        parts.append(_read(model, instruction, memory, text[start : start + WINDOW]))
    return np.concatenate(parts) if parts else np.zeros(0)


def _read(model: LanguageModel, instruction: str, memory: str, text: str) -> NDArray[np.float64]:
    """Nats per character of `text` behind `memory`."""
    if not text:
        return np.zeros(0)
    found = scored(model, Prompt(instruction), [memory + text])[0]
    per_byte = np.repeat(-found.logp / np.maximum(1, found.lengths), found.lengths)
    per_byte = per_byte[len(memory.encode()) :]
    sizes = [len(character.encode()) for character in text]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int)
    nats: NDArray[np.float64] = np.add.reduceat(per_byte, starts)
    return nats


def _segments(units: Sequence[Span]) -> list[list[int]]:
    """Indices of units in runs of up to WINDOW / 2 characters."""
    found: list[list[int]] = []
    size = WINDOW
    for i, unit in enumerate(units):
        if size + unit.length > WINDOW // 2:
            found.append([])
            size = 0
        found[-1].append(i)
        size += unit.length
    return found
