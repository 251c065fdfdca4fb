"""Compression of what is sent: on the client, before anything leaves, to a budget in tokens.

Pruned text saves bytes on the wire and the reader's prefill; what it costs is measured by
`renga bench cooperation`. A prompt that was cut is as private as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from renga.errors import UsageError, did_you_mean
from renga.models.contract import Clearance, LanguageModel, Piece, Prompt, Responder, Sampling
from renga.models.cooperation.prune import (
    Count,
    Pruned,
    protected,
    prune,
    sentence_units,
    word_units,
)
from renga.models.cooperation.spans import Span, sentences
from renga.models.cooperation.surprisal import (
    by_chance,
    by_place,
    by_question,
    by_shared_words,
    by_surprisal,
    progressive,
)
from renga.models.cooperation.values import forms, held, values
from renga.models.generate import answer
from renga.models.responders import respond_by

METHODS = ("words", "progressive", "sentences", "both", "overlap", "summary", "random", "truncate")
_MODEL_FREE = ("overlap", "random", "truncate")


def compress(
    text: str,
    budget: int,
    method: str = "both",
    *,
    model: LanguageModel | None = None,
    question: str = "",
    count: Count | None = None,
    surrogates: Sequence[str] = (),
    protect: bool = True,
    seed: int = 0,
) -> Pruned:
    """`text` in at most `budget` tokens of `count` (of the model's vocabulary, if not given).

    words: by surprisal, of what the question makes less surprising most. progressive: LLMLingua's order.
    sentences: those that foretell the question best. both: sentences to twice the budget, then words.
    overlap: sentences that share words with the question, without a model. summary: written by the model,
    without sentences that hold values the text does not; empty if none is left. random, truncate: controls.
    protect: code, numbers, quotations are kept; surrogates are kept always.
    """
    _check_method(method, model)
    vocabulary = model.vocabulary if model is not None else None
    if count is None:
        if vocabulary is None:
            raise UsageError("a budget in tokens needs a vocabulary", hint="give count=…")
        count = lambda part: len(vocabulary.encode(part))  # noqa: E731
    keep = protected(text, surrogates) if protect else [
        span for span in protected(text, surrogates) if span.of(text) in surrogates
    ]  # fmt: skip

    def by(score: Callable[[str, Sequence[Span]], Sequence[float]], whole: bool = False) -> Pruned:
        assert count is not None
        if whole:  # a sentence with a number in it may go, one with a surrogate may not
            held_fast = [span for span in keep if span.of(text) in surrogates]
            return prune(text, budget, score, count, units=sentence_units, keep=held_fast)
        return prune(text, budget, score, count, units=word_units, keep=keep)

    if method == "random":
        return by(by_chance(seed))
    if method == "truncate":
        return by(by_place)
    if method == "overlap":
        return by(by_shared_words(question), whole=True)
    assert model is not None
    if method == "words":
        return by(by_surprisal(model, question))
    if method == "progressive":
        return by(progressive(model, budget / max(1, count(text)), question))
    if method == "sentences":
        return by(by_question(model, question), whole=True)
    if method == "both":
        return _in_two(text, budget, model, question, count, surrogates, protect)
    return _summary(text, budget, model, question, count)


def _check_method(method: str, model: LanguageModel | None) -> None:
    if method not in METHODS:
        raise UsageError(f"no method {method!r}", hint=did_you_mean(method, METHODS))
    if model is None and method not in _MODEL_FREE:
        raise UsageError(f"{method!r} needs a model", hint=f"without one: {', '.join(_MODEL_FREE)}")


def _in_two(
    text: str,
    budget: int,
    model: LanguageModel,
    question: str,
    count: Count,
    surrogates: Sequence[str],
    protect: bool,
) -> Pruned:
    """Whole sentences to twice the budget, then words."""
    before = count(text)
    held_fast = [span for span in protected(text, surrogates) if span.of(text) in surrogates]
    coarse = prune(
        text, 2 * budget, by_question(model, question), count, units=sentence_units, keep=held_fast
    )
    keep = [s for s in protected(coarse.text, surrogates) if protect or s.of(coarse.text) in surrogates]
    fine = prune(coarse.text, budget, by_surprisal(model, question), count, units=word_units, keep=keep)
    if fine.over and protect:  # numbers alone are too many: the sentences decide
        return prune(text, budget, by_question(model, question), count, units=sentence_units, keep=held_fast)
    return Pruned(fine.text, (), before, fine.after, fine.over)


def _summary(text: str, budget: int, model: LanguageModel, question: str, count: Count) -> Pruned:
    """What the model writes, without what it made up (RECOMP, arXiv:2310.04408, lets a summary be empty)."""
    asked = f" what bears on this question: {question}" if question else ""
    prompt = f"Summarise{asked or ' this'} in at most {budget} words.\n\n{text}"
    said = answer(model, Prompt(prompt), Sampling(max_tokens=budget))
    inside = forms(text)
    faithful = [
        span for span in sentences(said) if all(held(value, text, inside) for value in values(span.of(said)))
    ]
    short = " ".join(span.of(said) for span in faithful)
    while faithful and count(short) > budget:
        faithful.pop()
        short = " ".join(span.of(said) for span in faithful)
    return Pruned(short, (), count(text), count(short) if short else 0)


def may_be_surrogates(text: str) -> list[str]:
    """What of a sanitised text may stand for something private: names, numbers, dates, addresses. Which of
    them do, only the client's vault knows; cut in half, a surrogate would not be restored."""
    found = [value.span.of(text) for value in values(text)]
    found += re.findall(r"\S*[@\d]\S*|[\[<{⟨][^\s\]>}⟩]+[\]>}⟩]|\w+://\S+", text)
    return list(dict.fromkeys(found))


class Compressing:
    """A responder that is asked less; see `compressing`."""

    def __init__(
        self,
        responder: Responder | LanguageModel,
        budget: int,
        cut: Callable[[str, int, str, Sequence[str]], Pruned],
        count: Count,
    ) -> None:
        self.responder, self._budget, self._cut, self._count = responder, budget, cut, count

    @property
    def members(self) -> tuple[Responder | LanguageModel, ...]:
        return (self.responder,)

    def shortened(self, prompt: Prompt) -> Prompt:
        """The prompt within the budget: its last paragraph, the question, whole, and what stands before it
        cut. Raises UsageError if the question alone is too long."""
        if self._count(prompt.text) <= self._budget:
            return prompt
        context, found, question = prompt.text.rstrip().rpartition("\n\n")
        if not found:
            context, _, question = prompt.text.rstrip().rpartition("\n")
        room = self._budget - self._count(question) - 2
        if room < 1 or not context:
            raise UsageError(
                f"the question alone is longer than {self._budget} tokens",
                hint="put an empty line between what may be cut and the question",
            )
        kept = may_be_surrogates(context) if prompt.clearance is Clearance.SANITISED else []
        short = self._cut(context, room, question, kept).text
        return prompt.asking(f"{short}\n\n{question}" if short else question)

    def respond(self, prompt: Prompt, sampling: Sampling) -> Iterator[Piece]:
        return respond_by(self.responder, self.shortened(prompt), sampling)


def compressing(
    responder: Responder | LanguageModel,
    budget: int,
    method: str = "both",
    *,
    model: LanguageModel | None = None,
    count: Count | None = None,
    surrogates: Sequence[str] = (),
) -> Compressing:
    """A responder whose prompts are cut to `budget` tokens of `count` before they go on; see `compress`.

    count: by the responder's vocabulary where it has one and none is given, else by the model's. surrogates:
    what is never cut; of a sanitised prompt neither is whatever may be one (see `may_be_surrogates`).
    """
    if budget < 8:
        raise UsageError(f"a budget of {budget} tokens holds no prompt", hint="8 or more")
    _check_method(method, model)
    vocabulary = getattr(responder, "vocabulary", None) or (model.vocabulary if model is not None else None)
    if count is None:
        if vocabulary is None:
            raise UsageError("a budget in tokens needs a vocabulary", hint="give count=…")
        count = lambda part: len(vocabulary.encode(part))  # noqa: E731
    counted = count

    def cut(text: str, room: int, question: str, more: Sequence[str]) -> Pruned:
        held_fast = [*surrogates, *more]
        return compress(
            text, room, method, model=model, question=question, count=counted, surrogates=held_fast
        )

    return Compressing(responder, budget, cut, counted)
