"""Where every tensor of the result will lie: safetensors files, of a size at most, with an index.

The headers follow from names, formats and shapes, so every byte has its place before the first is computed,
and threads write where they please.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from renga.errors import UsageError
from renga.server.merging.checkpoints.parts import Part
from renga.server.merging.checkpoints.precision import width

INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Shard:
    """A file: its header's bytes, its size, and the first byte of each tensor in it."""

    file: str
    header: bytes
    size: int
    starts: dict[str, int]


def lay_out(parts: Sequence[Part], largest: int) -> list[Shard]:
    """Files of at most `largest` bytes (a tensor that is larger gets one for itself), in the parts' order."""
    groups: list[list[Part]] = []
    filled = 0
    for part in parts:
        size = math.prod(part.shape) * width(part.dtype)
        if not groups or filled + size > largest:
            groups.append([])
            filled = 0
        groups[-1].append(part)
        filled += size
    names = [f"model-{k + 1:05}-of-{len(groups):05}.safetensors" for k in range(len(groups))]
    if len(groups) == 1:
        names = ["model.safetensors"]
    return [_shard(name, group) for name, group in zip(names, groups, strict=True)]


def _shard(file: str, parts: Sequence[Part]) -> Shard:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    starts, place = {}, 0
    # Wide formats first, as the format's own writer has it: every tensor is then aligned.
    for part in sorted(parts, key=lambda p: -width(p.dtype)):
        stop = place + math.prod(part.shape) * width(part.dtype)
        entries[part.name] = {"dtype": part.dtype, "shape": list(part.shape), "data_offsets": [place, stop]}
        starts[part.name] = place
        place = stop
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    header = len(text).to_bytes(8, "little") + text
    return Shard(file, header, len(header) + place, {n: len(header) + s for n, s in starts.items()})


def index(shards: Sequence[Shard]) -> dict[str, object]:
    """The contents of the index file."""
    total = sum(shard.size - len(shard.header) for shard in shards)
    return {
        "metadata": {"total_size": total},
        "weight_map": {name: shard.file for shard in shards for name in sorted(shard.starts)},
    }


def size_in_bytes(text: str) -> int:
    """The bytes that "5GB", "300 MB" or "1000000" mean."""
    units = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    number = text.strip().upper()
    unit = number.lstrip("0123456789.").strip()
    try:
        value = float(number[: len(number) - len(unit)] if unit else number) * units[unit]
    except (ValueError, KeyError):
        value = 0.0
    if not 1 <= value < 2**63:
        raise UsageError(f"{text!r} is no size of a file", hint="write it as 5GB or 300MB")
    return int(value)
