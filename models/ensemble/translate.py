"""A model's rows, said in another vocabulary: every token's mass goes to the token that its bytes begin with.

The alignment of strings that GaC makes over a union of vocabularies (arXiv:2406.12585), as a model over one
of them: a token that both know keeps its mass; one that only the model knows gives its mass to the first
token that spells it, and the next places decide on the rest. Ends of every kind are the one end.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch

from renga.errors import RengaError
from renga.models.composed import ALL_WANTS, RowsSession, close_session, same_vocabulary, want_of
from renga.models.contract import Full, LanguageModel, Prompt, Want
from renga.models.ensemble.following import Following
from renga.models.vocabulary import Vocabulary

FLOOR = 1e-6  # mass shared by tokens that have no counterpart: a law that rules nothing out

_maps: WeakKeyDictionary[Vocabulary, WeakKeyDictionary[Vocabulary, torch.Tensor]] = WeakKeyDictionary()


class Translated:
    """`model` over the vocabulary `like`."""

    offers = ALL_WANTS

    def __init__(self, model: LanguageModel, like: Vocabulary, want: Want = Full()) -> None:
        self.members = (model,)
        self.vocabulary = like
        self._following = Following(model, like, want)
        self._map = string_map(model.vocabulary, like)

    def open(self, prompt: Prompt) -> TranslatedSession:
        return TranslatedSession(self._following, self._map, prompt)


def translate(model: LanguageModel, like: LanguageModel, *, rows: int = 64) -> LanguageModel:
    """`model` over the vocabulary of the model `like`, approximately (see the module).

    rows: how many best tokens are asked of a model that is elsewhere; 0: all.
    """
    if same_vocabulary(model.vocabulary, like.vocabulary):
        return model
    return Translated(model, like.vocabulary, want_of(model, rows))


class TranslatedSession(RowsSession):
    """One translated session."""

    def __init__(self, following: Following, mapped: torch.Tensor, prompt: Prompt) -> None:
        super().__init__(prompt, following.vocabulary)
        self._inner = following.open(prompt)
        self._map = mapped

    def _rows(self, read: list[int], fed: list[int]) -> torch.Tensor:
        if self._inner.length > len(read):
            self._inner.rewind(len(read))
        rows = self._inner.feed(read[self._inner.length :] + fed).logp
        assert rows is not None
        return carried(rows[-(len(fed) + 1) :], self._map, self._vocabulary.size)

    def rewind(self, length: int) -> None:
        super().rewind(length)
        self._inner.rewind(min(length, self._inner.length))

    def close(self) -> None:
        super().close()
        close_session(self._inner)


def carried(rows: torch.Tensor, mapped: torch.Tensor, size: int) -> torch.Tensor:
    """Log-probabilities [places, own size] with each token's mass moved to `mapped`: [places, size]."""
    whole = rows.new_zeros((len(rows), size + 1)).index_add_(1, mapped, rows.exp())
    mass = whole[:, :size]
    if bool((mapped == size).any()):  # what can't be spelled can't be said
        mass = mass / (1 - whole[:, size:]).clamp(min=FLOOR)
    # As few as none have no counterpart: where the vocabularies are one, nothing is changed.
    lacking = torch.ones(size + 1, dtype=torch.bool).index_fill_(0, mapped, False)[:size]
    missing = int(lacking.sum())
    if missing:
        mass = mass * (1 - FLOOR)
        mass[:, lacking] += FLOOR / missing
    return mass.log()


def string_map(own: Vocabulary, like: Vocabulary) -> torch.Tensor:
    """For each id of `own` the id of `like` that its mass goes to; the size of `like` for what it can't
    spell: int64 [own size]."""
    known = _maps.setdefault(own, WeakKeyDictionary())
    if like not in known:
        mapped = torch.full((own.size,), like.end)
        tokens = [own.token_bytes(id) for id in range(own.size)]
        other = [id for id, token in enumerate(tokens) if token and like.id_of(token) is None]
        texts = {id: text for id in other if (text := _text(tokens[id])) is not None}
        spelled = dict(zip(texts, like.attempt_many(list(texts.values())), strict=True))
        for id, token in enumerate(tokens):
            if token:
                same = like.id_of(token)
                mapped[id] = same if same is not None else _first(like, spelled.get(id), token)
        known[like] = mapped
    return known[like]


def _first(like: Vocabulary, spelled: list[int] | None, token: bytes) -> int:
    try:
        ids = spelled or like.encode_bytes(token)
    except RengaError:
        return int(like.size)
    return ids[0]


def _text(token: bytes) -> str | None:
    try:
        return token.decode()
    except UnicodeDecodeError:
        return None
