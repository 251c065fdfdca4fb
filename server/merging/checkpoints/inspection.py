"""Before anything is merged: that every number of a checkpoint is finite, and the checkpoint's fingerprint.

One pass over the bytes does both, on all cores; the store remembers the answer for as long as the files stay
as they are. Bytes are digested by GMAC under a key that is no secret, which takes a quarter of the time that
SHA-256 does (0.15 s a gigabyte and core): two models that differ anywhere have different fingerprints, short
of someone who makes a model to match. Against him adapters and messages are signed; a fingerprint here says
which weights went in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from renga.errors import RengaError
from renga.models import store
from renga.server.merging.checkpoints.files import Checkpoint, Tensor
from renga.server.merging.checkpoints.precision import FLOATS, all_finite, stored

_CHUNK = 1 << 18  # bytes; a multiple of every format's width
_GMAC = AESGCM(bytes(16))


def fingerprint(checkpoint: Checkpoint, threads: int) -> str:
    """sha256 (hex) over names, formats, shapes and digests of all tensors, however they lie in files.

    Raises RengaError, naming the tensor, when a value is NaN or infinite.
    """

    def compute() -> str:
        tensors = sorted(checkpoint.tensors.values(), key=lambda t: t.start - t.stop)
        with ThreadPoolExecutor(threads) as pool:
            digests = dict(pool.map(lambda t: (t.name, _digest(checkpoint, t)), tensors))
        return _combined(checkpoint, digests)

    return store.remembered("checkpoint", checkpoint.files, compute)


def fingerprints(checkpoints: Sequence[Checkpoint], threads: int) -> list[str]:
    """The fingerprint of each."""
    return [fingerprint(checkpoint, threads) for checkpoint in checkpoints]


def _combined(checkpoint: Checkpoint, digests: dict[str, str]) -> str:
    facts = [[n, t.dtype, list(t.shape), digests[n]] for n, t in sorted(checkpoint.tensors.items())]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _digest(checkpoint: Checkpoint, tensor: Tensor) -> str:
    """sha256 (hex) over the GMAC tags of a tensor's pieces, each under its number as nonce."""
    raw, digest = checkpoint.raw(tensor.name), hashlib.sha256()
    for number, start in enumerate(range(0, raw.size, _CHUNK)):
        chunk = raw[start : start + _CHUNK]
        if tensor.dtype in FLOATS and not all_finite(stored(chunk, tensor.dtype), tensor.dtype):
            raise RengaError(
                f"{tensor.file}: tensor {tensor.name} has values that are NaN or infinite",
                hint="the model is damaged, or its training diverged",
            )
        digest.update(_GMAC.encrypt(number.to_bytes(12, "little"), b"", chunk.data))
    return digest.hexdigest()
