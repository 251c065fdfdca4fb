"""Adapters on the wire: every factor in one flat array, as float32, bf16 or 8-bit blocks.

Order: modules by name, of each first `a` [rank, in], then `b` [out, rank] **transposed**, so that
64 neighbours belong to one direction of the update. After a merge the directions differ in size by
their singular values, and a scale shared between them would cost the small ones their digits. Each
factor begins a block of its own, for the same reason. 8-bit blocks are 3.7 times smaller than
float32 (names and shapes included), bf16 2 times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from renga.errors import RefusedPayload
from renga.protocol.coding import BLOCK, Blocks8, encode_with_feedback, from_bf16, from_blocks8, to_bf16
from renga.protocol.packing import JSON

Array = NDArray[Any]
F32 = NDArray[np.float32]

CODINGS = ("float32", "bf16", "blocks8")


class EncodedAdapter(NamedTuple):
    """What `packing.pack` takes, and what the coding lost."""

    arrays: dict[str, Array]
    meta: dict[str, JSON]
    residual: F32  # [padded values], for the next send of the same factors


class DecodedAdapter(NamedTuple):
    """An adapter as plain data: factors[module] = (a [rank, in], b [out, rank]), float32, finite."""

    factors: Mapping[str, tuple[F32, F32]]
    rank: int
    alpha: float
    base: str
    provenance: dict[str, str]


def encode_adapter(
    factors: Mapping[str, tuple[F32, F32]],
    *,
    rank: int,
    alpha: float,
    base: str,
    provenance: Mapping[str, str],
    coding: str = "blocks8",
    residual: F32 | None = None,
) -> EncodedAdapter:
    """Factors by module as arrays and meta.

    `residual` is what an earlier send of these modules lost; it is added before coding. Pass None
    once a merge has replaced the factors: their coordinates then mean something else (see
    `coding.encode_with_feedback`). Raises ValueError on an unknown coding, on shapes that don't fit
    `rank`, and on a residual of another adapter.
    """
    if coding not in CODINGS:
        raise ValueError(f"unknown coding {coding!r}; known: {', '.join(CODINGS)}")
    names = sorted(factors)
    shapes = [(factors[name][1].shape[0], factors[name][0].shape[1]) for name in names]
    flat = np.zeros(_size(shapes, rank), dtype=np.float32)
    start = 0
    for name, (out, into) in zip(names, shapes, strict=True):
        a, b = factors[name]
        if a.shape != (rank, into) or b.shape != (out, rank):
            raise ValueError(f"{name}: a {a.shape} and b {b.shape} don't make an update of rank {rank}")
        for part in (a, b.T):
            flat[start : start + part.size] = part.reshape(-1)
            start += _padded(part.size)
    if residual is not None and residual.shape != flat.shape:
        raise ValueError(f"a residual of {residual.shape} for an adapter of {flat.shape} values")
    wanted = flat if residual is None else flat + residual
    arrays: dict[str, Array]
    if coding == "blocks8":
        blocks, left = encode_with_feedback(flat, residual)
        arrays = {"codes": blocks.codes, "scales": blocks.scales}
    elif coding == "bf16":
        codes = to_bf16(wanted)
        arrays, left = {"codes": codes}, wanted - from_bf16(codes)
    else:
        arrays, left = {"codes": wanted}, np.zeros_like(wanted)
    meta: dict[str, JSON] = {
        "alpha": float(alpha),
        "base": base,
        "coding": coding,
        "modules": [[name, out, into] for name, (out, into) in zip(names, shapes, strict=True)],
        "provenance": dict(provenance),
        "rank": rank,
    }
    return EncodedAdapter(arrays, meta, left)


def decode_adapter(
    arrays: Mapping[str, Array], meta: Mapping[str, Any], *, max_rank: int = 1024
) -> DecodedAdapter:
    """The adapter. Raises RefusedPayload on meta of the wrong form, sizes that don't fit the shapes,
    and values that are not finite. That the modules are those of a model is for the caller to check
    (`renga.models.adapter.checked`)."""
    rank, shapes = _checked_meta(meta, max_rank)
    expected = _size(list(shapes.values()), rank)
    wanted = {
        "float32": {"codes": ("float32", expected)},
        "bf16": {"codes": ("uint16", expected)},
        "blocks8": {"codes": ("int8", expected), "scales": ("float32", expected // BLOCK)},
    }[meta["coding"]]
    if set(arrays) != set(wanted):
        raise _refused(f"arrays {sorted(arrays)}, {sorted(wanted)} expected")
    for name, (dtype, size) in wanted.items():
        if arrays[name].dtype.name != dtype or arrays[name].shape != (size,):
            raise _refused(f"{name} is {arrays[name].dtype} {arrays[name].shape}, not {dtype} [{size}]")

    factors = CodedFactors(arrays, meta["coding"], rank, shapes)
    for name, (a, b) in factors.items():
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise _refused(f"{name} has values that are not finite")
    return DecodedAdapter(factors, rank, meta["alpha"], meta["base"], dict(meta["provenance"]))


class CodedFactors(Mapping[str, tuple[F32, F32]]):
    """Factors by module, decoded when they are asked for: of many adapters at once only the codes are held.

    The arrays must fit the shapes; see `decode_adapter`.
    """

    def __init__(
        self, arrays: Mapping[str, Array], coding: str, rank: int, shapes: Mapping[str, tuple[int, int]]
    ) -> None:
        self._arrays = arrays
        self._coding = coding
        self._rank = rank
        self._shapes = shapes
        sizes = [_padded(rank * size) for out, into in shapes.values() for size in (into, out)]
        starts = [0, *accumulate(sizes)]
        self._starts = {name: (starts[2 * n], starts[2 * n + 1]) for n, name in enumerate(shapes)}

    def __getitem__(self, name: str) -> tuple[F32, F32]:
        out, into = self._shapes[name]
        first, second = self._starts[name]
        a = self._decoded(first, self._rank * into).reshape(self._rank, into)
        b = self._decoded(second, self._rank * out).reshape(self._rank, out)
        return a, np.ascontiguousarray(b.T)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def _decoded(self, start: int, size: int) -> F32:
        codes = self._arrays["codes"][start : start + size]
        if self._coding == "blocks8":
            scales = self._arrays["scales"][start // BLOCK : (start + _padded(size)) // BLOCK]
            return from_blocks8(Blocks8(codes, scales))
        return from_bf16(codes) if self._coding == "bf16" else codes.copy()


def _checked_meta(meta: Mapping[str, Any], max_rank: int) -> tuple[int, dict[str, tuple[int, int]]]:
    if not isinstance(meta, Mapping) or set(meta) != {
        "alpha",
        "base",
        "coding",
        "modules",
        "provenance",
        "rank",
    }:
        raise _refused("its description has other fields than ours")
    rank, alpha = meta["rank"], meta["alpha"]
    if type(rank) is not int or not 1 <= rank <= max_rank:
        raise _refused(f"its rank is not a whole number from 1 to {max_rank}")
    if type(alpha) is not float or not (math.isfinite(alpha) and alpha > 0):
        raise _refused("its alpha is not a positive number")
    if not isinstance(meta["base"], str) or not isinstance(meta["coding"], str):
        raise _refused("its base or coding is not text")
    if meta["coding"] not in CODINGS:
        raise _refused(f"its coding is not one of {', '.join(CODINGS)}")
    provenance = meta["provenance"]
    if not isinstance(provenance, dict) or not all(isinstance(v, str) for v in provenance.values()):
        raise _refused("its provenance is not a table of texts")
    shapes: dict[str, tuple[int, int]] = {}
    if not isinstance(meta["modules"], list) or not meta["modules"]:
        raise _refused("it lists no modules")
    for entry in meta["modules"]:
        if not isinstance(entry, list) or len(entry) != 3 or not isinstance(entry[0], str):
            raise _refused("an entry of its modules is not [name, out, in]")
        name, *shape = entry
        if any(type(d) is not int or not 1 <= d < 1 << 31 for d in shape):
            raise _refused(f"{name} has no proper shape")
        if shapes and name <= next(reversed(shapes)):
            raise _refused(f"{name} is repeated or out of order")
        shapes[name] = (shape[0], shape[1])
    return rank, shapes


def _size(shapes: list[tuple[int, int]], rank: int) -> int:
    return sum(_padded(rank * out) + _padded(rank * into) for out, into in shapes)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _refused(why: str) -> RefusedPayload:
    return RefusedPayload(
        f"adapter refused: {why}", hint="the sender is broken, hostile or of another release"
    )
