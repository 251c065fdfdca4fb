"""A member with another vocabulary, led by the text: it reads the answer so far in its own tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from renga.models.composed import Reader
from renga.models.contract import Answer, Full, LanguageModel, Prompt, Want
from renga.models.vocabulary import Vocabulary


class Following:
    """`model`, fed ids of the vocabulary `like`; its rows are over its own vocabulary.

    At every place it has read the answer's bytes as its own tokenizer cuts them. A place within what would be
    one of its tokens is thus behind a cut it has seldom seen: an approximation, which `bytewise` does
    without.
    """

    offers: frozenset[type[Want]] = frozenset({Full})

    def __init__(self, model: LanguageModel, like: Vocabulary, want: Want = Full()) -> None:
        """want: what is asked of the model, `Full()` or `TopK(k)`."""
        self.members = (model,)
        self.vocabulary = like
        self.want = want

    def open(self, prompt: Prompt) -> FollowingSession:
        return FollowingSession(self.members[0], self.vocabulary, prompt, self.want)


class FollowingSession:
    """One led session; `length` counts ids of the leading vocabulary."""

    def __init__(self, model: LanguageModel, like: Vocabulary, prompt: Prompt, want: Want) -> None:
        self._own = model.vocabulary
        self._like = like
        self._reader = Reader(model, prompt, want)
        self._ids: list[int] = []
        self._spelled: list[int] | None = []  # the answer so far in the member's tokens; None: not known

    @property
    def length(self) -> int:
        return len(self._ids)

    def feed(self, ids: Sequence[int], want: Want = Full()) -> Answer:
        """Rows over the member's own vocabulary: [len(ids) + 1, its size]."""
        text = self._like.bytes_of(self._ids)
        places = [self._own.encode_bytes(text) if self._spelled is None else self._spelled]
        for id in ids:
            text += self._like.token_bytes(id)
            places.append(self._own.encode_bytes(text))
        rows = self._rows(places)
        self._ids += ids
        self._spelled = places[-1]
        return Answer(logp=rows)

    def rewind(self, length: int) -> None:
        if length < len(self._ids):
            self._ids = self._ids[:length]
            self._spelled = None

    def close(self) -> None:
        self._reader.close()

    def _rows(self, places: list[list[int]]) -> torch.Tensor:
        """The row behind each of `places`, ids of the member: those on the way to the last in one pass."""
        final = places[-1]
        on_the_way = [final[: len(place)] == place for place in places]
        found: list[torch.Tensor | None] = [
            None if on else self._reader.rows(place, [])[-1]
            for on, place in zip(on_the_way, places, strict=True)
        ]
        first = min(len(place) for on, place in zip(on_the_way, places, strict=True) if on)
        rows = self._reader.rows(final[:first], final[first:])
        return torch.stack(
            [
                rows[len(place) - first] if other is None else other
                for place, other in zip(places, found, strict=True)
            ]
        )
