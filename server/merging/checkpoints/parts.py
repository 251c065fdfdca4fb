"""What is to be written: one `Part` per tensor of the result, and how it reads its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renga.server.merging.blocks import Floats, columns_of
from renga.server.merging.checkpoints.files import Checkpoint
from renga.server.merging.checkpoints.precision import decode, stored


@dataclass(frozen=True)
class Source:
    """A tensor of an input."""

    checkpoint: Checkpoint
    name: str
    identity: str = ""  # the checkpoint's fingerprint

    @cached_property
    def elements(self) -> NDArray[Any]:
        """The mapped tensor, flattened, in its own format."""
        return stored(self.checkpoint.raw(self.name), self.dtype)

    @property
    def dtype(self) -> str:
        return self.checkpoint.tensors[self.name].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.checkpoint.tensors[self.name].shape

    def numbers(self, where: slice | NDArray[np.int64], dtype: type[np.floating[Any]]) -> Floats:
        """Some elements as numbers; a view of the file where it holds them so."""
        held = self.elements[where]
        if held.dtype == dtype:
            return held
        row: Floats = np.empty(held.size, dtype)
        decode(held, self.dtype, row)
        return row


@dataclass(frozen=True)
class Part:
    """One tensor of the result.

    Without a method it is the first source's bytes, unchanged. With one, sources with their weights are
    merged, as updates of `base` where there is a base. `whole_model` thresholds are measured over all parts
    alike.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    sources: tuple[Source, ...]
    method: str | None = None
    base: Source | None = None
    weights: tuple[float, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    whole_model: bool = False

    def facts(self) -> dict[str, Any]:
        """What decides its bytes, for the record and for recognising an interrupted merge."""
        sources = [[source.identity, source.name] for source in self.sources]
        base = [self.base.identity, self.base.name] if self.base else None
        return {
            "name": self.name,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "method": self.method,
            "sources": sources,
            "base": base,
            "weights": list(self.weights),
            "options": dict(self.options),
            "whole_model": self.whole_model,
        }


@dataclass(frozen=True)
class Updates:
    """The sources of a part as `Blocks`: minus the base where there is one. float32; float64 if a source
    is."""

    part: Part

    @property
    def inputs(self) -> int:
        return len(self.part.sources)

    @property
    def size(self) -> int:
        return int(self.part.sources[0].elements.size)

    @property
    def columns(self) -> int:
        return columns_of(self.part.shape)

    @cached_property
    def dtype(self) -> type[np.float32] | type[np.float64]:
        base = (self.part.base,) if self.part.base else ()
        return np.float64 if any(s.dtype == "F64" for s in (*self.part.sources, *base)) else np.float32

    def read(self, start: int, stop: int) -> Floats:
        return self._numbers(slice(start, stop), stop - start)

    def take(self, places: NDArray[np.int64]) -> Floats:
        return self._numbers(places, len(places))

    def add_base(self, merged: Floats, start: int) -> None:
        """Turn a merged update, which begins at element `start`, into weights, in place."""
        if self.part.base is not None:
            merged += self.part.base.numbers(slice(start, start + merged.size), self.dtype)

    def _numbers(self, where: slice | NDArray[np.int64], count: int) -> Floats:
        numbers = np.empty((self.inputs, count), self.dtype)
        base = self.part.base.numbers(where, self.dtype) if self.part.base is not None else None
        for row, source in zip(numbers, self.part.sources, strict=True):
            if base is None:
                decode(source.elements[where], source.dtype, row)
            else:
                np.subtract(source.numbers(where, self.dtype), base, out=row)
        return numbers
