"""Adapters as they travel: between `models.Adapter` and the plain data of the protocol."""

from __future__ import annotations

from renga.models.adapter import Adapter, Factors
from renga.protocol.adapter_codec import DecodedAdapter


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
