"""Pruning: a text cut to a budget by dropping what matters least, in the order it stands.

What is protected is never cut: code, numbers, quotations, and the surrogates of a sanitiser, which must come
back whole if they are to be restored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from renga.errors import UsageError
from renga.models.cooperation.spans import Span, sentences

Count = Callable[[str], int]  # tokens of a text, by whoever will read it
Score = Callable[[str, Sequence[Span]], Sequence[float]]  # what each unit of a text is worth

_PROTECTED = re.compile(
    r"```.*?```|`[^`\n]+`"  # code
    r"|\"[^\"\n]{1,300}\"|“[^”\n]{1,300}”|«[^»\n]{1,300}»"  # quotations
    r"|[^\s]*\d[^\s]*",  # whatever holds a digit
    re.DOTALL,
)


@dataclass(frozen=True)
class Pruned:
    """A text that was cut. kept: the places of the original that stand in it. before, after: tokens. over:
    what is protected alone is more than the budget."""

    text: str
    kept: tuple[Span, ...]
    before: int
    after: int
    over: bool = False

    @property
    def ratio(self) -> float:
        return self.before / max(1, self.after)


def protected(text: str, surrogates: Sequence[str] = ()) -> list[Span]:
    """Code, quotations, numbers and every occurrence of `surrogates`, in order; they may overlap."""
    found = [Span(*match.span()) for match in _PROTECTED.finditer(text)]
    for surrogate in filter(None, surrogates):
        found += [Span(*match.span()) for match in re.finditer(re.escape(surrogate), text)]
    return sorted(found)


def word_units(text: str) -> list[Span]:
    """Words with the space behind them: together they are the text."""
    starts = [match.start() for match in re.finditer(r"\S+", text)]
    if not starts:
        return [Span(0, len(text))] if text else []
    starts[0] = 0
    return [Span(a, b) for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


def sentence_units(text: str) -> list[Span]:
    """Sentences with the space behind them: together they are the text."""
    starts = [span.start for span in sentences(text)]
    if not starts:
        return [Span(0, len(text))] if text else []
    starts[0] = 0
    return [Span(a, b) for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


def prune(
    text: str,
    budget: int,
    score: Score,
    count: Count,
    *,
    units: Callable[[str], list[Span]] = word_units,
    keep: Sequence[Span] = (),
) -> Pruned:
    """`text` in at most `budget` tokens: the units that touch `keep`, and of the others those worth most.

    A text within the budget stays as it is. Raises UsageError for a budget below 1.
    """
    if budget < 1:
        raise UsageError(f"a budget of {budget} tokens holds nothing")
    before = count(text)
    if before <= budget:
        return Pruned(text, (Span(0, len(text)),) if text else (), before, before)
    parts = units(text)
    must = {i for i, part in enumerate(parts) if any(part.meets(span) for span in keep)}
    worth = score(text, parts)
    others = sorted((i for i in range(len(parts)) if i not in must), key=lambda i: (-worth[i], i))

    def cut(most: int) -> str:
        chosen = must | set(others[:most])
        return "".join(parts[i].of(text) for i in sorted(chosen)).strip()

    low, high = 0, len(others)
    while low < high:  # more units are hardly ever fewer tokens
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(cut(middle)) <= budget else (low, middle - 1)
    while low and count(cut(low)) > budget:
        low -= 1
    short = cut(low)
    after = count(short)
    return Pruned(
        short, _joined([parts[i] for i in sorted(must | set(others[:low]))]), before, after, after > budget
    )


def _joined(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Spans in order, neighbours as one."""
    found: list[Span] = []
    for span in spans:
        if found and found[-1].end == span.start:
            found[-1] = Span(found[-1].start, span.end)
        else:
            found.append(span)
    return tuple(found)
