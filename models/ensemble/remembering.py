"""A model that is asked for a row once: many plans over the same texts cost what one does."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch

from renga.models.composed import ALL_WANTS, Reader, RowsSession
from renga.models.contract import Answer, Full, LanguageModel, Prompt, Scores, TopK, Verify, Want
from renga.models.meter import Meter
from renga.models.vocabulary import Vocabulary

OPEN = 80  # sessions kept for prompts that may be gone on with, some MB each
IN_MEMORY = 2**28  # bytes of the rows read last, of those on disk

Row = tuple[torch.Tensor, float]  # what was said, and the processor's seconds that it took


class Remembering:
    """`model` with all its rows kept, so as to compare plans: in memory, or with `folder` on disk, where the
    next process finds them.

    `meter` counts what would be spent if nothing were kept: passes, tokens (the whole prompt for every
    session), the processor's seconds, and for a model `elsewhere` the bytes of ids, rows and prompts that
    would travel. `asked`: the prompts that sessions were opened on. An `elsewhere` model is asked for as few
    rows as one across the network is.
    """

    offers = ALL_WANTS

    def __init__(
        self, model: LanguageModel, name: str, *, folder: Path | None = None, elsewhere: bool = False
    ) -> None:
        self.inner = model
        self.name = name
        self.meter = Meter()
        self.asked: set[str] = set()
        self.elsewhere = elsewhere
        if elsewhere:
            self.dial = None  # how strategies know such a model
        self.folder = folder
        self._kept: OrderedDict[str, Row] = OrderedDict()
        self._bytes = 0  # of the rows in memory
        self._readers: OrderedDict[str, Reader] = OrderedDict()
        self._lock = threading.Lock()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def vocabulary(self) -> Vocabulary:
        return self.inner.vocabulary

    def open(self, prompt: Prompt) -> RememberingSession:
        self.asked.add(prompt.text)
        return RememberingSession(self, prompt)

    def rows(self, prompt: Prompt, ids: list[int], fed: list[int]) -> list[Row]:
        """Behind `ids` and each of `fed`."""
        with self._lock:
            keys = [_key(prompt.text, [*ids, *fed[:place]]) for place in range(len(fed) + 1)]
            found = [self._get(key) for key in keys]
            rows = [row for row in found if row is not None]
            if len(rows) == len(found):
                return rows
            reader = self._readers.pop(prompt.text, None) or Reader(self.inner, prompt)
            start = time.thread_time()
            said = reader.rows(ids, fed)
            spent = (time.thread_time() - start) / len(keys)
            self._readers[prompt.text] = reader
            if len(self._readers) > OPEN:
                self._readers.popitem(last=False)[1].close()
            made = [known or (row.clone(), spent) for row, known in zip(said, found, strict=True)]
            for key, row, known in zip(keys, made, found, strict=True):
                if known is None:
                    self._put(key, row)
            return made

    def _get(self, key: str) -> Row | None:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if self.folder is None:
            return None
        from safetensors import safe_open

        path = self.folder / key
        if not path.exists():
            return None
        with safe_open(str(path), framework="pt") as file:
            row = file.get_tensor("row"), float((file.metadata() or {})["seconds"])
        self._keep(key, row)
        return row

    def _put(self, key: str, row: Row) -> None:
        self._keep(key, row)
        if self.folder is None:
            return
        from safetensors.torch import save_file

        path = self.folder / key
        written = path.with_suffix(".new")
        save_file({"row": row[0]}, str(written), metadata={"seconds": repr(row[1])})
        os.replace(written, path)

    def _keep(self, key: str, row: Row) -> None:
        """In memory; where there is a folder only the rows that were wanted last."""
        old = self._kept.pop(key, None)
        self._kept[key] = row
        self._bytes += row[0].nbytes - (old[0].nbytes if old else 0)
        while self.folder is not None and self._bytes > IN_MEMORY and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1][0].nbytes


class RememberingSession(RowsSession):
    """One session on what is remembered."""

    def __init__(self, model: Remembering, prompt: Prompt) -> None:
        super().__init__(prompt, model.vocabulary)
        self._model = model
        weights = getattr(model.inner, "weights", None)
        self._opening = 0
        if weights is not None:
            self._opening = len(weights.template.ids_of(weights.tokenizer, prompt))
        if model.elsewhere:
            model.meter.bytes_up += len(prompt.text.encode())

    def feed(self, ids: Sequence[int], want: Want = Full()) -> Answer:
        answer = super().feed(ids, want)
        if self._model.elsewhere:
            self._model.meter.bytes_up += 4 * len(ids)
            self._model.meter.bytes_down += travelling(want, len(ids), self._vocabulary.size)
        return answer

    def _rows(self, read: list[int], fed: list[int]) -> torch.Tensor:
        meter = self._model.meter
        rows = self._model.rows(self._prompt, read, fed)
        meter.passes += 1
        meter.tokens += self._opening + len(fed)
        meter.seconds += sum(seconds for _, seconds in (rows if self._opening else rows[1:]))
        self._opening = 0
        return torch.stack([row for row, _ in rows])


def travelling(want: Want, fed: int, size: int) -> int:
    """Bytes of the answer to a feed of so many ids, without framing: ids and numbers of four bytes each."""
    match want:
        case Full():
            return 4 * size * (fed + 1)
        case TopK(k=k):
            return (8 * min(k, size) + 4) * (fed + 1)
        case Scores():
            return 4 * fed
        case Verify():
            return 4 * (fed + 1)


def _key(prompt: str, ids: list[int]) -> str:
    return hashlib.sha256(repr((prompt, ids)).encode()).hexdigest()[:32]
