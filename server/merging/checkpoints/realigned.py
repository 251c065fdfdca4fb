"""Embeddings of models whose tokenizers differ, brought to one: the row of a token is that token's in all.

The vocabulary is that of the tokenizer that the stage names, or the union of all. Where a model lacks a token
its row is, as in mergekit, that of the one model that has it, of the base if the base does, else the mean
over those that have it; zero where none does. Rows that no token has are dropped.

The rows are written into files beside the target before the merge and mapped like all others, so that memory
stays at a few blocks; planning needs their shapes alone, and writes nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.errors import RengaError
from renga.server.merging.checkpoints.carried import carry, differing, token_ids
from renga.server.merging.checkpoints.files import Checkpoint, Tensor
from renga.server.merging.checkpoints.opened import EMBEDDINGS, HEAD, LAYER, Opened
from renga.server.merging.checkpoints.precision import FLOATS, decode, encode, width
from renga.server.merging.checkpoints.recipe import UNION, Stage
from renga.server.merging.checkpoints.unions import united

_ROWS = 4096  # that are in memory at once
_NOBODY, _ALL = -1, -2
_STALE = ("vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "added_tokens.json")


@dataclass(frozen=True)
class Realigned:
    """Models of a stage with the rows of one vocabulary. `place`: where what is written lies."""

    models: Mapping[str, Opened]
    donor: str
    union: dict[str, Any] | None
    rows: int
    at: Mapping[str, NDArray[np.int64]]  # the row of every token in each model, -1 where it lacks it
    base: str | None
    place: Path

    def opened(self) -> dict[str, Opened]:
        """The models as they will be inside `written`."""
        found = {}
        for number, (model, opened) in enumerate(self.models.items()):
            checkpoint, start = opened.checkpoint, 0
            tensors = dict(checkpoint.tensors)
            for name in _by_token(opened):
                shape = (self.rows, *tensors[name].shape[1:])
                stop = start + int(np.prod(shape)) * width(tensors[name].dtype)
                tensors[name] = Tensor(
                    name, tensors[name].dtype, shape, self.place / f"rows{number}", start, stop
                )
                start = stop
            made = Checkpoint(checkpoint.reference, checkpoint.folder, checkpoint.config, tensors)
            found[model] = Opened(made, f"{opened.fingerprint} by the {self.rows} tokens of {self.donor}")
        if self.union is not None:
            like = self.models[self.donor].checkpoint
            found[UNION] = Opened(replace(like, folder=self.place / "tokenizer"), "")
        return found

    @contextmanager
    def written(self) -> Iterator[None]:
        """Inside, the files that `opened` speaks of are there."""
        try:
            self._write()
            yield
        finally:
            shutil.rmtree(self.place, ignore_errors=True)

    def _write(self) -> None:
        """All rows, and the tokenizer of a union."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        for number, (model, opened) in enumerate(self.models.items()):
            with (self.place / f"rows{number}").open("wb") as file:
                for name in _by_token(opened):
                    for start in range(0, self.rows, _ROWS):
                        file.write(self._some(model, name, slice(start, start + _ROWS)).tobytes())
        if self.union is not None:
            folder = self.place / "tokenizer"
            folder.mkdir()
            for name in carry(self.models[self.donor].checkpoint, folder):
                if name in _STALE:
                    (folder / name).unlink()
            text = json.dumps(self.union, ensure_ascii=False)
            (folder / "tokenizer.json").write_text(text, encoding="utf-8")

    def config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The result's config: as many rows, and the special ids of the tokenizer that is carried."""
        theirs = self.models[self.donor].checkpoint.config if self.donor in self.models else {}
        ids = {
            key: value
            for key, value in theirs.items()
            if key in ("bos_token_id", "eos_token_id", "pad_token_id")
        }
        return {**config, **ids, "vocab_size": self.rows}

    def _some(self, model: str, name: str, where: slice) -> NDArray[Any]:
        """Some rows of a model's tensor, as stored."""
        names = list(self.models)
        own = names.index(model)
        ids = np.stack([self.at[other][where] for other in names])
        giver = np.where(ids[own] >= 0, own, _givers(ids, names.index(self.base) if self.base else None))
        dtype = self.models[model].source(name).dtype
        tables = [_table(self.models[other], other, name) for other in names]
        columns = tables[own][0].shape[1]
        numbers = np.zeros((len(giver), columns), np.float64 if dtype == "F64" else np.float32)
        for number, (table, stored_as) in enumerate(tables):
            mine = giver == number
            if mine.any():
                numbers[mine] = _numbers(table[ids[number][mine]], stored_as, numbers.dtype)
        shared = np.flatnonzero(giver == _ALL)
        for number, (table, stored_as) in enumerate(tables):
            has = shared[ids[number][shared] >= 0]
            numbers[has] += _numbers(table[ids[number][has]], stored_as, numbers.dtype)
        numbers[shared] /= (ids[:, shared] >= 0).sum(axis=0)[:, None]
        return encode(numbers, dtype)


def realigned(stage: Stage, opened: Mapping[str, Opened], place: Path) -> Realigned | None:
    """The stage's models brought to its tokenizer; None where all have one, or rows go by their number.

    RengaError for tokenizers that can't be read or united, and for tensors whose rows can't be followed.
    """
    models = {model: opened[model] for model in stage.models()}
    there = [*models, *([stage.tokenizer] if stage.tokenizer not in (None, UNION) else [])]
    folders = {m: opened[m].checkpoint.folder for m in there if _has_tokenizer(opened[m])}
    if stage.tokenizer is None or stage.by_number or not differing(folders):
        return None
    first = next(iter(folders))
    union = united(folders) if stage.tokenizer == UNION else None
    donor = first if union is not None else stage.tokenizer
    tokens = _listed(union) if union is not None else _tokens(donor, folders)
    rows = 1 + max(tokens.values(), default=-1)
    at = {}
    for model, each in models.items():
        own, count = _tokens(model if model in folders else first, folders), _count(each, model)
        at[model] = np.full(rows, -1, np.int64)
        for token, row in tokens.items():
            if (id_ := own.get(token, -1)) < count:
                at[model][row] = id_
    base = stage.base if stage.base in models else None
    return Realigned(models, donor, union, rows, at, base, place)


def _givers(ids: NDArray[np.int64], base: int | None) -> NDArray[np.int64]:
    """Whose row stands in for a token that is lacking: [rows]."""
    has = ids >= 0
    count = has.sum(axis=0)
    giver = np.where(count == 0, _NOBODY, np.where(count == 1, has.argmax(axis=0), _ALL))
    return giver if base is None else np.where((count > 1) & has[base], base, giver)


def _listed(tokenizer: Mapping[str, Any]) -> dict[str, int]:
    vocabulary = tokenizer["model"]["vocab"]
    pairs = (
        vocabulary.items() if isinstance(vocabulary, dict) else [(e[0], k) for k, e in enumerate(vocabulary)]
    )
    return {**dict(pairs), **{entry["content"]: entry["id"] for entry in tokenizer["added_tokens"]}}


def _tokens(model: str, folders: Mapping[str, Path]) -> Mapping[str, int]:
    found = token_ids(folders[model]) if model in folders else None
    if found is None:
        raise RengaError(f"{model} has no tokenizer whose tokens could be followed")
    return found


def _has_tokenizer(opened: Opened) -> bool:
    return any((opened.checkpoint.folder / name).is_file() for name in ("tokenizer.json", "vocab.json"))


def _by_token(opened: Opened) -> list[str]:
    return sorted(name for name in opened.names if name.endswith((*EMBEDDINGS, HEAD)))


def _count(opened: Opened, model: str) -> int:
    """How many rows its embeddings have; RengaError where another tensor outside the layers has as many."""
    tensors, names = opened.checkpoint.tensors, _by_token(opened)
    counts = {tensors[name].shape[0] for name in names}
    if len(counts) != 1:
        raise RengaError(f"{model} has no embedding whose rows could follow their tokens")
    count, columns = counts.pop(), tensors[names[0]].shape[-1]
    for name in sorted(opened.names - set(names)):
        if tensors[name].shape[:1] == (count,) and count != columns and not LAYER.match(name):
            raise RengaError(
                f"{model}: tensor {name} goes by token, too, and can't be brought to another tokenizer"
            )
    for name in names:
        if tensors[name].dtype not in FLOATS:
            raise RengaError(f"{model}: tensor {name} is in {tensors[name].dtype}")
    return count


def _table(opened: Opened, model: str, name: str) -> tuple[NDArray[Any], str]:
    """A tensor by rows, in its own format; the embedding for an output layer that is tied to it."""
    if opened.alias(name) is None:
        raise RengaError(f"{model} lacks tensor {name}")
    source = opened.source(name)
    return source.elements.reshape(source.shape[0], -1), source.dtype


def _numbers(rows: NDArray[Any], dtype: str, wide: Any) -> NDArray[Any]:
    found = np.empty(rows.shape, wide)
    decode(rows, dtype, found)
    return found
