"""A model that is asked for a row once: many plans over the same texts cost what one does."""

from __future__ import annotations

import torch

from renga.models.composed import ALL_WANTS, Reader, RowsSession
from renga.models.contract import LanguageModel, Prompt
from renga.models.meter import Meter
from renga.models.vocabulary import Vocabulary


class Remembering:
    """`model` with all its rows and sessions kept, so as to compare plans; its memory grows with what it is
    asked.

    `meter` counts passes and tokens as if nothing were kept: `opening` tokens for every prompt.
    """

    offers = ALL_WANTS

    def __init__(self, model: LanguageModel, name: str) -> None:
        self.inner = model
        self.name = name
        self.meter = Meter()
        self._rows: dict[tuple[str, tuple[int, ...]], torch.Tensor] = {}
        self._readers: dict[str, Reader] = {}

    @property
    def vocabulary(self) -> Vocabulary:
        return self.inner.vocabulary

    def open(self, prompt: Prompt) -> RememberingSession:
        return RememberingSession(self, prompt)

    def row(self, prompt: Prompt, ids: list[int], fed: list[int]) -> list[torch.Tensor]:
        """Rows behind `ids` and each of `fed`."""
        keys = [(prompt.text, (*ids, *fed[:place])) for place in range(len(fed) + 1)]
        if not all(key in self._rows for key in keys):
            reader = self._readers.get(prompt.text)
            if reader is None:
                reader = self._readers[prompt.text] = Reader(self.inner, prompt)
            for key, row in zip(keys, reader.rows(ids, fed), strict=True):
                self._rows.setdefault(key, row.clone())
        return [self._rows[key] for key in keys]


class RememberingSession(RowsSession):
    """One session on what is remembered."""

    def __init__(self, model: Remembering, prompt: Prompt) -> None:
        super().__init__(prompt, model.vocabulary)
        self._model = model
        self._read = 0
        weights = getattr(model.inner, "weights", None)
        self._opening = 0
        if weights is not None:
            self._opening = len(weights.template.prompt_ids(weights.tokenizer, prompt.text))

    def _rows(self, read: list[int], fed: list[int]) -> torch.Tensor:
        meter = self._model.meter
        meter.passes += 1
        meter.tokens += self._opening + len(fed)
        self._opening = 0
        return torch.stack(self._model.row(self._prompt, read, fed))
