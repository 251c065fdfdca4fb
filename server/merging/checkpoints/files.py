"""A model's folder: its config, and the tensors of its safetensors files, mapped into memory and not read.

Nothing is believed: headers are checked against the file's size and against each other before a byte of a
tensor is touched. Pickled weights (`.bin`, `.pt`, `.pth`, `.ckpt`) are refused: to load one is to run it.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from renga.errors import RengaError, UsageError
from renga.server.merging.checkpoints.precision import FLOATS, OTHERS, Raw, width

CONFIG = "config.json"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit


@dataclass(frozen=True)
class Tensor:
    """Where a tensor lies: bytes start .. stop of a file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    stop: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A folder with `config.json` and safetensors. `reference` is how it was called."""

    reference: str
    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    _maps: dict[Path, Raw] = field(default_factory=dict, repr=False)

    @cached_property
    def files(self) -> list[Path]:
        return sorted({tensor.file for tensor in self.tensors.values()})

    def raw(self, name: str) -> Raw:
        """The bytes of a tensor, mapped: uint8 [bytes]."""
        tensor = self.tensors[name]
        if tensor.start == tensor.stop:
            return np.empty(0, np.uint8)
        if tensor.file not in self._maps:
            with tensor.file.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._maps[tensor.file] = np.frombuffer(mapped, np.uint8)
        return self._maps[tensor.file][tensor.start : tensor.stop]


def open_checkpoint(folder: Path, reference: str = "") -> Checkpoint:
    """Read the config and all headers of a model's folder.

    Raises UsageError for a folder that is no model (or holds only pickled weights), RengaError, naming the
    file, for one that is damaged or incomplete.
    """
    reference = reference or str(folder)
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    if (folder / "adapter_config.json").is_file():
        raise UsageError(f"{folder} is an adapter, not a model", hint="merge adapters with adapters")
    if not (folder / CONFIG).is_file():
        raise UsageError(f"{folder} has no {CONFIG}: it is no model's folder")
    config = _json(folder / CONFIG)
    if "quantization_config" in config:
        raise UsageError(f"{reference} is quantised", hint="merge the model it was made from")
    tensors: dict[str, Tensor] = {}
    for file in _weight_files(folder):
        for name, tensor in _header(file).items():
            if name in tensors:
                raise RengaError(f"{file} holds tensor {name}, as {tensors[name].file.name} does")
            tensors[name] = tensor
    _check_index(folder, tensors)
    return Checkpoint(reference, folder, config, tensors)


def _weight_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.safetensors"))
    if files:
        return files
    pickled = [p.name for p in sorted(folder.iterdir()) if p.suffix in _PICKLED]
    if pickled:
        raise UsageError(
            f"{folder / pickled[0]} is pickled: loading it would run whatever is in it",
            hint="save the model as safetensors where you trust it",
        )
    raise UsageError(f"{folder} has no .safetensors file")


def _check_index(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """That an index and the files say the same."""
    path = folder / "model.safetensors.index.json"
    if not path.is_file():
        return
    listed = _json(path).get("weight_map")
    if not isinstance(listed, dict):
        raise RengaError(f"{path} has no weight_map")
    for name, file in listed.items():
        if name not in tensors or tensors[name].file.name != file:
            raise RengaError(f"{folder / str(file)} lacks tensor {name}, which {path.name} places there")
    if extra := sorted(set(tensors) - set(listed)):
        raise RengaError(f"{tensors[extra[0]].file} holds tensor {extra[0]}, which {path.name} doesn't list")


def _header(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, checked: formats, shapes, and bytes without gap or overlap."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        head = opened.read(8)
        length = int.from_bytes(head, "little")
        if len(head) < 8 or length > min(size - 8, _LONGEST_HEADER) or length < 2:
            raise RengaError(f"{file} is not safetensors, or is cut off")
        try:
            entries = json.loads(opened.read(length))
        except ValueError as error:
            raise RengaError(f"{file} is not safetensors: its header can't be read") from error
    if not isinstance(entries, dict):
        raise RengaError(f"{file} is not safetensors: its header is no table")
    found = {
        name: _entry(file, name, entry, 8 + length)
        for name, entry in entries.items()
        if name != "__metadata__"
    }
    end = 8 + length
    for tensor in sorted(found.values(), key=lambda t: (t.start, t.stop)):
        if tensor.start != end:
            raise RengaError(f"{file}: tensor {tensor.name} begins at byte {tensor.start}, not {end}")
        end = tensor.stop
    if end != size:
        raise RengaError(f"{file} has {size} bytes, its header speaks of {end}", hint="is it cut off?")
    return found


def _entry(file: Path, name: str, entry: Any, begin: int) -> Tensor:
    try:
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        start, stop = entry["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, start, stop))
    except (KeyError, TypeError, ValueError) as error:
        raise RengaError(f"{file}: the header's entry of tensor {name} can't be read") from error
    if dtype not in FLOATS and dtype not in OTHERS:
        raise RengaError(
            f"{file}: tensor {name} is in {dtype}",
            hint=f"merging reads {', '.join(FLOATS)}; unpack quantised weights first",
        )
    if not whole or stop - start != math.prod(shape) * width(dtype):
        raise RengaError(f"{file}: tensor {name} has the wrong number of bytes for {list(shape)} {dtype}")
    return Tensor(name, dtype, shape, file, begin + start, begin + stop)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RengaError(f"{path} can't be read: {error}") from error
    if not isinstance(value, dict):
        raise RengaError(f"{path} is no table")
    return value
