"""What a GGUF file says of itself, read in a tenth of a second and checked before anything is unpacked."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from renga.errors import RengaError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True)
class Header:
    """What a GGUF says of itself, weights left unread.

    facts: its metadata; of an array, only the length. tensors: for each name its shape, and the byte in
    the file where it begins.
    """

    path: Path
    facts: dict[str, Any]
    tensors: dict[str, tuple[tuple[int, ...], int]]

    @property
    def parameters(self) -> int:
        """Numbers in all tensors."""
        return sum(prod(shape) for shape, _ in self.tensors.values())

    @property
    def architecture(self) -> str:
        return str(self.facts["general.architecture"])

    def fact(self, name: str) -> Any:
        """A fact about the architecture, e.g. "context_length"; None if the file doesn't state it."""
        return self.facts.get(f"{self.architecture}.{name}")


def read_header(path: Path) -> Header:
    """Read the metadata and check that every tensor it announces lies inside the file.

    Raises RengaError when the file can't be opened, is no GGUF, or is cut short.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size < 24:
                raise RengaError(f"{path} is not a GGUF file: {size} bytes", hint="download or copy it again")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as blob:
                return _parse(_Cursor(blob), path, size)
    except OSError as error:
        raise RengaError(
            f"can't read {path}: {error.strerror}", hint="check the path and its permissions"
        ) from error
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise RengaError(
            f"{path} is cut short or damaged: its header ends too early", hint="download or copy it again"
        ) from error


class _Cursor:
    """Reads GGUF's little-endian values one after the other."""

    def __init__(self, blob: mmap.mmap) -> None:
        self._blob = blob
        self.at = 0

    def number(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self._blob, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def string(self) -> str:
        raw = self._blob[self.at + 8 : self.at + 8 + self._length()]
        self.at += 8 + len(raw)
        return raw.decode("utf-8")

    def skip_string(self) -> None:
        self.at += 8 + self._length()

    def _length(self) -> int:
        (length,) = struct.unpack_from("<Q", self._blob, self.at)
        if self.at + 8 + length > len(self._blob):
            raise IndexError(length)
        return int(length)

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            if kind not in _SCALARS:
                raise IndexError(kind)
            return self.number(_SCALARS[kind])
        inner, count = self.number("I"), self.number("Q")
        if inner == _STRING:
            for _ in range(count):
                self.skip_string()
        elif inner in _SCALARS:
            self.at += count * struct.calcsize("<" + _SCALARS[inner])
        else:
            raise IndexError(inner)
        if self.at > len(self._blob):
            raise IndexError(count)
        return count


def _parse(cursor: _Cursor, path: Path, size: int) -> Header:
    from gguf import GGML_QUANT_SIZES

    magic, version = cursor.number("I"), cursor.number("I")
    if magic != int.from_bytes(b"GGUF", "little") or version not in (2, 3):
        raise RengaError(f"{path} is not a GGUF file (version 2 or 3)", hint="give a folder or a .gguf file")
    tensors, facts_count = cursor.number("Q"), cursor.number("Q")
    facts = {}
    for _ in range(facts_count):
        key = cursor.string()
        facts[key] = cursor.value(cursor.number("I"))
    if "general.architecture" not in facts:
        raise RengaError(f"{path} does not say what architecture it holds", hint="use another file")

    quants = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}
    found: dict[str, tuple[tuple[int, ...], int]] = {}
    end = 0
    for _ in range(tensors):
        name = cursor.string()
        shape = tuple(cursor.number("Q") for _ in range(cursor.number("I")))
        kind, offset = cursor.number("I"), cursor.number("Q")
        if kind not in quants:
            raise RengaError(f"{path} holds weights of an unknown kind ({kind})", hint="upgrade package gguf")
        block, block_bytes = quants[kind]
        found[name] = (shape, offset)
        end = max(end, offset + prod(shape) // block * block_bytes)
    alignment = int(facts.get("general.alignment", 32))
    start = -(-cursor.at // alignment) * alignment
    if size < start + end:
        raise RengaError(
            f"{path} is cut short: {size:,} of {start + end:,} bytes", hint="download or copy it again"
        )
    return Header(path, facts, {name: (shape, start + offset) for name, (shape, offset) in found.items()})
