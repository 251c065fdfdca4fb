"""A language model in this process: a session is a cache that can be cut back.

`transformers.generate` is the oracle in tests, not the engine: it can't rewind, and it gives one row where
verification needs k + 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from renga.models.adapter import Adapter
from renga.models.caching import handed
from renga.models.context import check_prompt, fitting
from renga.models.contract import Answer, Full, Prompt, Scores, TopK, Verify, Want
from renga.models.meter import Meter
from renga.models.noise import Place, verified
from renga.models.vocabulary import Vocabulary
from renga.models.weights import SharedWeights


class LocalModel:
    """Shared base weights, worn with one adapter or none."""

    offers: frozenset[type[Want]] = frozenset({Full, TopK, Scores, Verify})

    def __init__(self, weights: SharedWeights, adapter: Adapter | None = None) -> None:
        self.weights = weights
        self.adapter = adapter

    @classmethod
    def load(cls, reference: str, adapter: Adapter | None = None) -> LocalModel:
        """Load the weights that `reference` names; see `renga.models.references`."""
        return cls(SharedWeights.load(reference), adapter)

    @property
    def vocabulary(self) -> Vocabulary:
        return self.weights.vocabulary

    @property
    def meter(self) -> Meter:
        return self.weights.meter

    def open(self, prompt: Prompt) -> LocalSession:
        """A session that has read `prompt` in this model's own template. Raises TooLong for a prompt of more
        than the model reads."""
        return self.open_ids(self.weights.template.ids_of(self.weights.tokenizer, prompt))

    def open_ids(self, ids: Sequence[int]) -> LocalSession:
        """A session that has read `ids`, at least one, as they are."""
        return LocalSession(self, ids)


class LocalSession:
    """What a local model has read: the ids, and a key-value cache over all but perhaps the last of them.

    The row at the boundary is not kept (a row of Gemma's is a megabyte): after opening or rewinding, the
    last id is read again together with what is fed next.
    """

    def __init__(self, model: LocalModel, prompt_ids: Sequence[int], most: int | None = None) -> None:
        """most: ids it may be long, prompt included; None: as many as the model reads."""
        if not prompt_ids:
            raise ValueError("a session needs at least one id before its first answer")
        self._most = most or model.weights.context
        check_prompt(len(prompt_ids), self._most, model.weights.name)
        self._model = model
        self._ids = list(prompt_ids)
        self._start = len(self._ids)
        self._cache = _empty_cache() if model.weights.keeps_keys else None
        self._boundary: torch.Tensor | None = None

    @property
    def length(self) -> int:
        """Ids read since the session opened."""
        return len(self._ids) - self._start

    @torch.inference_mode()
    def feed(self, ids: Sequence[int], want: Want = Full()) -> Answer:
        """Read `ids`; answer for the current place and the one after each id (see `contract.Answer`).

        Raises TooLong beyond what the model reads; of ids to verify those are read that fit."""
        ids = fitting(ids, want, len(self._ids), self._most, self._model.weights.name)
        rows = self._read(list(ids))
        answer = answered(rows, ids, want, self._model.vocabulary)
        if isinstance(want, Verify):
            assert answer.ids is not None
            agreed = len(answer.ids) - 1
            # The row is kept, so that what was emitted from it is what it says when it is asked again.
            self._cut_to(self.length - len(ids) + agreed, rows[agreed : agreed + 1].clone())
        return answer

    def rewind(self, length: int) -> None:
        """Forget everything after the first `length` ids read since the session opened."""
        if not 0 <= length <= self.length:
            raise ValueError(f"can't rewind to {length}: {self.length} ids were read")
        if length < self.length:
            self._cut_to(length, None)

    def _cut_to(self, length: int, boundary: torch.Tensor | None) -> None:
        """boundary: the row behind what is kept, [1, vocabulary]; None: the last id is to be read again."""
        self._ids = self._ids[: self._start + length]
        self._boundary = boundary
        surplus = self._cached() - len(self._ids) + (boundary is None)
        if surplus > 0:
            self._cut(surplus)

    def _cached(self) -> int:
        return 0 if self._cache is None else self._cache.get_seq_length()

    def _read(self, ids: list[int]) -> torch.Tensor:
        """Log-probabilities of the current place and of the one after each id: [len(ids) + 1, vocabulary]."""
        unread = self._ids[self._cached() :] + ids
        wanted = len(ids) + 1 if self._boundary is None else len(ids)
        parts = [] if self._boundary is None else [self._boundary]
        if wanted:
            weights = self._model.weights
            with weights.lock, weights.meter.reading(len(unread)):  # one adapter is worn at a time
                weights.wear(self._model.adapter)
                parts.append(self._forward(unread, wanted))
        self._ids += ids
        rows = torch.cat(parts)
        self._boundary = rows[-1:].clone()
        return rows

    def _forward(self, unread: list[int], wanted: int) -> torch.Tensor:
        """Log-probabilities of the last `wanted` places: [wanted, vocabulary]."""
        weights = self._model.weights
        output = weights.model(
            input_ids=torch.tensor([unread]),
            **handed(self._cache, weights.model),
            use_cache=self._cache is not None,
            logits_to_keep=wanted,
        )
        logits = output.logits[0, :, : weights.vocabulary.size]
        wide = logits if logits.dtype == torch.float64 else logits.float()
        return torch.log_softmax(wide, dim=-1)

    def _cut(self, tokens: int) -> None:
        # The one place that calls `crop`: its argument has changed meaning between releases of
        # transformers; in 5.x it is minus the number of tokens to drop.
        assert self._cache is not None
        self._cache.crop(-tokens)


def answered(rows: torch.Tensor, ids: Sequence[int], want: Want, vocabulary: Vocabulary) -> Answer:
    """What `want` asks of log-probabilities [len(ids) + 1, vocabulary], `ids` being those fed."""
    if isinstance(want, Full):
        return Answer(logp=rows)
    if isinstance(want, Scores):
        return Answer(scores=rows[:-1].gather(1, torch.tensor(ids, dtype=torch.long).unsqueeze(1)).squeeze(1))
    if isinstance(want, Verify):
        place = Place(want.offset, want.silent)
        return Answer(ids=torch.tensor(verified(rows, list(ids), vocabulary, want.sampling, place)))
    logp, best = rows.topk(min(want.k, rows.shape[-1]), dim=-1)
    # Summed, not 1 minus a sum: a tail below the last bits of 1 is small, but it is not nothing.
    tail = rows.scatter(1, best, -torch.inf).logsumexp(-1)
    return Answer(logp=logp, ids=best, tail=tail)


def _empty_cache() -> DynamicCache:
    # Made without the model's config: with it, sliding-window layers drop keys that a rewind still needs.
    return DynamicCache()
