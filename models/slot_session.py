"""Sessions that have read slots where a context would stand, on a model here or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from renga.errors import RengaError
from renga.models.caching import handed
from renga.models.composed import common_length, name_of
from renga.models.contract import Answer, Full, LanguageModel, Prompt, Session, Want
from renga.models.local import LocalModel, LocalSession
from renga.models.slots import Slots
from renga.models.weights import SharedWeights


def open_with(model: LanguageModel, prompt: Prompt, slots: Slots) -> Session:
    """A session of `model` that has read `slots` before `prompt`. Raises RengaError for a model that reads
    none, or other ones, and for a prompt with turns before it."""
    if prompt.before:
        raise RengaError("slots stand at the beginning: a conversation has none")
    if isinstance(model, LocalModel):
        if model.weights.fingerprint != slots.host:
            raise RengaError(f"the slots were made for another model than {name_of(model)}")
        return SlotSession(model, prompt.text, slots.vectors())
    opened = getattr(model, "open_slots", None)
    if opened is None:
        raise RengaError(f"{name_of(model)} reads no slots")
    session: Session = opened(prompt, slots)
    return session


class SharedSlots:
    """A session with slots on weights that others use, too: it waits for their lock at most `patience`
    seconds, and calls `leave` at its end."""

    def __init__(
        self,
        session: SlotSession,
        turn: Callable[[], AbstractContextManager[object]],
        leave: Callable[[], None],
    ) -> None:
        self._session, self._turn, self._leave = session, turn, leave

    @property
    def prompt_ids(self) -> int:
        return self._session.prompt_ids

    def feed(self, ids: Sequence[int], want: Want = Full()) -> Answer:
        """As a local session does. Raises what `turn` raises, too."""
        with self._turn():
            return self._session.feed(ids, want)

    def rewind(self, length: int) -> None:
        """As a local session does."""
        self._session.rewind(length)

    def close(self) -> None:
        """Make room for another."""
        leave, self._leave = self._leave, lambda: None
        leave()


class SlotSession(LocalSession):
    """A session that has read vectors [slots, width] in the place of input embeddings, then a question."""

    def __init__(
        self, host: LocalModel, question: str, vectors: torch.Tensor | None, most: int | None = None
    ) -> None:
        """most: places it may have, slots among them. Raises RengaError for a host that keeps more than keys,
        TooLong for a prompt that it does not read."""
        if not host.weights.keeps_keys:
            raise RengaError("a model with states that are no keys can't read slots")
        before, after = around(host, question)
        count = 0 if vectors is None else len(vectors)
        super().__init__(host, [*before, *([host.vocabulary.end] * count), *after], most)
        self._fill(before, vectors, after)

    @property
    def prompt_ids(self) -> int:
        """Places of the prompt, slots among them."""
        return self._start

    @torch.inference_mode()
    def _fill(self, before: Sequence[int], vectors: torch.Tensor | None, after: Sequence[int]) -> None:
        """Read all but the last id, so that whatever is asked next reads that one."""
        weights = self._model.weights
        embedded = embedded_around(self._model, before, vectors, after[:-1])
        with weights.lock, weights.meter.reading(embedded.shape[1]):
            weights.wear(self._model.adapter)
            past: dict[str, Any] = handed(self._cache, weights.model)
            weights.model(inputs_embeds=embedded, **past, use_cache=True, logits_to_keep=1)


def width_of(weights: SharedWeights) -> int:
    """Numbers in an input embedding."""
    return int(weights.model.get_input_embeddings().weight.shape[1])


def around(host: LocalModel, question: str) -> tuple[list[int], list[int]]:
    """The host's prompt: the ids before a context, and those of the question and what follows."""
    weights = host.weights
    one, other = (weights.template.prompt_ids(weights.tokenizer, text) for text in ("0", "z"))
    shared = common_length(one, other)
    ids = weights.template.prompt_ids(weights.tokenizer, f"\n\n{question}")
    cut = min(shared, common_length(ids, one), len(ids) - 1)
    return ids[:cut], ids[cut:]


def embedded_around(
    host: LocalModel, before: Sequence[int], vectors: torch.Tensor | None, after: Sequence[int]
) -> torch.Tensor:
    """Input embeddings of ids, slots and ids: [1, places, width]."""
    table = host.weights.model.get_input_embeddings()
    parts = [table(torch.tensor([list(ids)], dtype=torch.long)) for ids in (before, after)]
    if vectors is not None:
        parts.insert(1, vectors.to(parts[0].dtype).unsqueeze(0))
    return torch.cat(parts, dim=1)
