"""Who guesses what a model will say next: a smaller model, the prompt itself, or what was said before.

A guess costs nothing but time when it is wrong; `renga.models.cooperation.speculate` makes sure of that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

from renga.models.composed import Reader, same_vocabulary
from renga.models.contract import LanguageModel, Prompt, Sampling
from renga.models.noise import Place, chosen
from renga.models.vocabulary import Vocabulary

BYTES_AHEAD = 8  # that are cut into tokens for each that is guessed
MOST_PLACES = 64
AGREEING = 12  # bytes in which ways to go on must be the same to count as one


class Drafting(Protocol):
    """One answer's guesses."""

    def draft(self, said: list[int], count: int, sampling: Sampling, place: Place) -> list[int]:
        """At most `count` ids that may follow `said`, the whole answer so far, at `place`; perhaps none."""
        ...

    def close(self) -> None: ...


class Drafter(Protocol):
    """Guesses ids of any vocabulary."""

    def start(self, prompt: Prompt, vocabulary: Vocabulary) -> Drafting: ...


class ModelDrafter:
    """A model guesses, by the same noise as the target's: they agree as often as their laws allow.

    Its tokens may be others than the target's: its guess is then cut anew, as the target's tokenizer does.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.members = (model,)

    def start(self, prompt: Prompt, vocabulary: Vocabulary) -> Drafting:
        return _ModelDrafting(self.members[0], prompt, vocabulary)


class _ModelDrafting:
    def __init__(self, model: LanguageModel, prompt: Prompt, vocabulary: Vocabulary) -> None:
        self._own = model.vocabulary
        self._target = vocabulary
        self._same = same_vocabulary(self._own, vocabulary)
        self._reader = Reader(model, prompt)

    def draft(self, said: list[int], count: int, sampling: Sampling, place: Place) -> list[int]:
        read = said if self._same else self._own.encode_bytes(self._target.bytes_of(said))
        drafts: list[int] = []
        while len(drafts) < count:
            row = self._reader.rows(read + drafts, [])[-1]
            id = chosen(row, self._own, sampling, place)
            drafts.append(id)
            if id in self._own.specials:
                break
            place = place.after(self._own, id)
        return drafts if self._same else self._cut_anew(drafts)[:count]

    def _cut_anew(self, drafts: list[int]) -> list[int]:
        ends = bool(drafts) and drafts[-1] in self._own.specials
        text = self._own.bytes_of(drafts).decode("utf-8", "ignore" if not ends else "surrogateescape")
        ids = self._target.attempt_many([text])[0] or []  # a character that is not whole yet is left out
        return [*ids, self._target.end] if ends else ids

    def close(self) -> None:
        self._reader.close()


def lookup(longest: int = 64, least: int = 1) -> Drafter:
    """Guesses that the answer goes on as the prompt, or the answer itself, did behind the same last words
    (prompt lookup; by the longest suffix and the most frequent way on, as in arXiv:2411.04975).

    What is compared is text, not tokens: a word is the same at the beginning of the answer and behind a
    space. The place where most of it is the same is taken, up to `longest` bytes and no fewer than `least`;
    of equals the way on that is found most often, of these the latest.
    """
    return _Lookup(longest, least)


class _Lookup:
    def __init__(self, longest: int, least: int) -> None:
        self._longest, self._least = longest, least

    def start(self, prompt: Prompt, vocabulary: Vocabulary) -> Drafting:
        return _LookingUp(prompt.text, vocabulary, self._longest, self._least)


class _LookingUp:
    def __init__(self, prompt: str, vocabulary: Vocabulary, longest: int, least: int) -> None:
        self._prompt, self._vocabulary = prompt.encode("utf-8", "replace"), vocabulary
        self._longest, self._least = longest, least

    def draft(self, said: list[int], count: int, sampling: Sampling, place: Place) -> list[int]:
        text = self._prompt + self._vocabulary.bytes_of(said)
        # The last token whole: half a word would be found anywhere.
        least = max(self._least, len(self._vocabulary.bytes_of(said[-1:])))
        same = _longest_suffix(text, self._longest)
        if same < least:
            return []
        ahead = BYTES_AHEAD * count
        ways = [_onwards(text, at, ahead) for at in islice(_places(text, same), MOST_PLACES)]
        often = Counter(way[:AGREEING] for way in ways)
        best = max(ways, key=lambda way: often[way[:AGREEING]])  # the latest stand first
        ids = self._vocabulary.attempt_many([best.decode("utf-8", "ignore")])[0] or []
        return ids[: max(0, min(count, len(ids) - 1))]  # the last may have been cut

    def close(self) -> None:
        pass


def _longest_suffix(text: bytes, most: int) -> int:
    """How many of the last bytes, `most` at most, stand somewhere before, too."""
    low, high = 0, min(most, len(text) - 1)
    while low < high:
        middle = (low + high + 1) // 2
        if text.rfind(text[-middle:], 0, len(text) - 1) < 0:
            high = middle - 1
        else:
            low = middle
    return low


def _places(text: bytes, same: int) -> Iterator[int]:
    """Where text goes on behind its last `same` bytes, the latest place first."""
    last, end = text[len(text) - same :], len(text) - 1
    while (at := text.rfind(last, 0, end)) >= 0:
        yield at + same
        end = at + same - 1


def _onwards(text: bytes, at: int, length: int) -> bytes:
    """`length` bytes from a place on; where the text ends it has come round, and goes round again."""
    way = text[at : at + length]
    return (way * (length // len(way) + 1))[:length]


def ngram(order: int = 3, texts: Sequence[str] = ()) -> Drafter:
    """Guesses what most often followed the last `order` - 1 tokens, or fewer, in `texts` and in all answers
    that were drafted for so far."""
    return _NGrams(order, texts)


class _NGrams:
    def __init__(self, order: int, texts: Sequence[str]) -> None:
        self._order = order
        self._texts = list(texts)
        self._counts: dict[str, dict[tuple[int, ...], Counter[int]]] = {}

    def start(self, prompt: Prompt, vocabulary: Vocabulary) -> Drafting:
        counts = self._counts.get(vocabulary.fingerprint)
        if counts is None:
            counts = self._counts.setdefault(vocabulary.fingerprint, {})
            for text in self._texts:
                _count(counts, [*(vocabulary.attempt_many([text])[0] or []), vocabulary.end], self._order)
        return _Counted(counts, self._order)


class _Counted:
    def __init__(self, counts: dict[tuple[int, ...], Counter[int]], order: int) -> None:
        self._counts = counts
        self._order = order
        self._said: list[int] = []

    def draft(self, said: list[int], count: int, sampling: Sampling, place: Place) -> list[int]:
        self._said = list(said)
        text = list(said)
        drafts: list[int] = []
        while len(drafts) < count:
            behind = (tuple(text[len(text) - n :]) for n in range(min(self._order - 1, len(text)), -1, -1))
            known = next((found for last in behind if (found := self._counts.get(last))), None)
            if not known:
                break
            id = known.most_common(1)[0][0]
            text.append(id)
            drafts.append(id)
        return drafts

    def close(self) -> None:
        _count(self._counts, self._said, self._order)


def _count(counts: dict[tuple[int, ...], Counter[int]], ids: list[int], order: int) -> None:
    for at, id in enumerate(ids):
        for n in range(min(order - 1, at) + 1):
            counts.setdefault(tuple(ids[at - n : at]), Counter())[id] += 1


def either(*drafters: LanguageModel | Drafter) -> Drafter:
    """The first of `drafters` that has a guess."""
    return _Either([drafter_of(each) for each in drafters])


class _Either:
    def __init__(self, drafters: Sequence[Drafter]) -> None:
        self.members = tuple(m for each in drafters for m in getattr(each, "members", ()))
        self.drafters = drafters

    def start(self, prompt: Prompt, vocabulary: Vocabulary) -> Drafting:
        return _EitherDrafting([each.start(prompt, vocabulary) for each in self.drafters])


class _EitherDrafting:
    def __init__(self, draftings: Sequence[Drafting]) -> None:
        self._draftings = draftings

    def draft(self, said: list[int], count: int, sampling: Sampling, place: Place) -> list[int]:
        guesses = (each.draft(said, count, sampling, place) for each in self._draftings)
        return next((guess for guess in guesses if guess), [])

    def close(self) -> None:
        for each in self._draftings:
            each.close()


def drafter_of(given: LanguageModel | Drafter) -> Drafter:
    """Itself, or the model as a drafter."""
    return given if hasattr(given, "start") else ModelDrafter(given)  # type: ignore[return-value]
