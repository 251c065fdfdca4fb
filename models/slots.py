"""Slots: vectors that a host reads where a context would stand, and what they are on the wire.

A slot is as wide as the host's input embeddings and is made for these alone. In 8 bits a number, which is how
it travels, it weighs a byte for each and a scale, where a token's id weighs two or three: slots spare a host
its prefill and its context, not bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from renga.errors import RefusedPayload
from renga.protocol import link_pb2 as wire

MOST = 256  # in one prompt


@dataclass(frozen=True)
class Slots:
    """numbers: int8 [count, width], scale: float32 [count]; host: the base fingerprint they were made for."""

    numbers: NDArray[np.int8]
    scale: NDArray[np.float32]
    host: str

    @classmethod
    def of(cls, vectors: torch.Tensor, host: str) -> Slots:
        """Of float vectors [count, width]."""
        scale = vectors.abs().amax(-1).clamp(min=1e-12) / 127
        numbers = (vectors / scale.unsqueeze(-1)).round().to(torch.int8).numpy()
        return cls(numbers, scale.float().numpy(), host)

    @property
    def count(self) -> int:
        return len(self.scale)

    @property
    def nbytes(self) -> int:
        """What they weigh on the wire."""
        return self.numbers.nbytes + self.scale.nbytes

    def vectors(self) -> torch.Tensor:
        """float32 [count, width], up to half a step of rounding."""
        return torch.from_numpy(self.numbers.astype(np.float32) * self.scale[:, None])


def packed_slots(slots: Slots) -> wire.Slots:
    return wire.Slots(
        host=slots.host,
        count=slots.count,
        numbers=slots.numbers.tobytes(),
        scale=slots.scale.astype("<f4").tobytes(),
    )


def read_slots(message: wire.Slots, host: str, width: int) -> Slots:
    """Slots off the wire, for the base `host` with embeddings of `width` numbers. Raises RefusedPayload for
    those of another, and for what are none."""
    count = message.count
    if message.host != host:
        raise RefusedPayload("the slots were made for another model than this one")
    if not 1 <= count <= MOST:
        raise RefusedPayload(f"{count} slots, where 1 to {MOST} may be")
    if len(message.numbers) != count * width or len(message.scale) != 4 * count:
        raise RefusedPayload(f"{count} slots of this model have {width} bytes each, and a scale of 4")
    scale = np.frombuffer(message.scale, "<f4").astype(np.float32)
    if not np.isfinite(scale).all():
        raise RefusedPayload("a slot's scale is no number")
    return Slots(np.frombuffer(message.numbers, np.int8).reshape(count, width), scale, host)
