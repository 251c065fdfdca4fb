"""Adapters as they travel and as they are kept: the model's, the protocol's plain data, and bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from renga.models.adapter import F32, Adapter, Factors
from renga.protocol.adapter_codec import DecodedAdapter, decode_adapter, encode_adapter
from renga.protocol.packing import pack, unpack

LIMIT_BYTES = 1 << 32


def to_wire(adapter: Adapter) -> DecodedAdapter:
    """The adapter as plain arrays."""
    factors = {path: (f.a, f.b) for path, f in adapter.factors.items()}
    return DecodedAdapter(factors, adapter.rank, adapter.alpha, adapter.base, dict(adapter.provenance))


def from_wire(arrays: DecodedAdapter) -> Adapter:
    """The adapter that arrived. Its base and layers are still claims: see `models.adapter.checked`."""
    factors = {path: Factors(a=a, b=b) for path, (a, b) in arrays.factors.items()}
    return Adapter(
        factors=factors, alpha=arrays.alpha, rank=arrays.rank, base=arrays.base, provenance=arrays.provenance
    )


def as_coded(arrays: DecodedAdapter) -> Adapter:
    """As `from_wire`, for one that is read seldom: its factors stay coded, and are decoded each time."""
    return replace(from_wire(arrays._replace(factors={})), factors=_Opened(arrays.factors))


class _Opened(Mapping[str, Factors]):
    def __init__(self, coded: Mapping[str, tuple[F32, F32]]) -> None:
        self._coded = coded

    def __getitem__(self, path: str) -> Factors:
        return Factors(*self._coded[path])

    def __iter__(self) -> Iterator[str]:
        return iter(self._coded)

    def __len__(self) -> int:
        return len(self._coded)


def to_bytes(adapter: Adapter) -> bytes:
    """The adapter as it is kept on disk: float32, nothing lost. Equal adapters give equal bytes."""
    plain = to_wire(adapter)
    encoded = encode_adapter(
        plain.factors,
        rank=plain.rank,
        alpha=plain.alpha,
        base=plain.base,
        provenance=plain.provenance,
        coding="float32",
    )
    return pack(encoded.arrays, encoded.meta).tobytes()


def from_bytes(blob: NDArray[np.uint8]) -> Adapter:
    """The adapter that `to_bytes` wrote. Raises RefusedPayload if the bytes are anything else."""
    arrays, meta = unpack(blob, limit_bytes=LIMIT_BYTES)
    return from_wire(decode_adapter(arrays, meta))
