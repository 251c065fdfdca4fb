"""A safetensors header read strictly, before a byte of the tensors is.

The library lets through keys that stand twice (the last one wins), names like paths, a hundred thousand
tensors and NaN. An adapter from elsewhere is none of that. Only its header is read here, and of a bounded
length; whether values are finite is asked when they are there (see `adapter.checked`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from renga.errors import RefusedPayload

HEADER_LIMIT = 1 << 20  # bytes
TENSORS_LIMIT = 4096
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")


@dataclass(frozen=True)
class Stored:
    """A tensor as the header says it."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path, largest: int = 4 << 30) -> dict[str, Stored]:
    """What tensors a file says it holds. Raises RefusedPayload unless it is of the plain form that adapters
    have: at most `largest` bytes, names once and of words and dots, floats, data without holes or overlaps,
    exactly as long as the file. Raises OSError if the file can't be read."""
    size = path.stat().st_size
    if size > largest:
        raise _refused(f"it has {size} bytes; at most {largest} are taken")
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(HEADER_LIMIT, size - 8):
            raise _refused(f"a header of {length} bytes does not fit")
        raw = file.read(length)
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _refused("its header is not JSON") from error
    if not isinstance(header, dict) or not isinstance(header.pop("__metadata__", {}), dict):
        raise _refused("its header is no table of tensors")
    if not 0 < len(header) <= TENSORS_LIMIT:
        raise _refused(f"it has {len(header)} tensors; 1 to {TENSORS_LIMIT} are taken")
    found = {name: _stored(name, entry) for name, entry in header.items()}
    end = 0
    for start, stop in sorted(tuple(entry["data_offsets"]) for entry in header.values()):
        if start != end:
            raise _refused("its tensors overlap or leave holes")
        end = stop
    if 8 + length + end != size:
        raise _refused("it is not as long as its header says")
    return found


def _stored(name: str, entry: Any) -> Stored:
    if len(name) > 256 or not NAME.fullmatch(name):
        raise _refused("a tensor has a name that no layer has")
    if not isinstance(entry, Mapping) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _refused(f"{name} is not described as a tensor is")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in SIZES:
        raise _refused(f"{name} has another dtype than {', '.join(SIZES)}")
    if not _counts(shape) or not 1 <= len(shape) <= 2 or not _counts(offsets) or len(offsets) != 2:
        raise _refused(f"{name} has no proper shape or place")
    if min(shape) < 1 or offsets[1] - offsets[0] != math.prod(shape) * SIZES[dtype]:
        raise _refused(f"{name} is not as large as its shape says")
    return Stored(dtype, tuple(shape))


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 48 for n in value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _refused("a name stands in its header twice")
    return found


def _no_number(text: str) -> float:
    raise _refused(f"its header holds {text}")


def _refused(why: str) -> RefusedPayload:
    return RefusedPayload(f"safetensors refused: {why}", hint="the file is broken, hostile or no adapter's")
