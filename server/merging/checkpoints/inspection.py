"""Before anything is merged: that every number of a checkpoint is finite, and what the checkpoint's
fingerprint is.

One pass over the bytes does both, on all cores; the store remembers the answer for as long as the files stay
as they are (0.4 s a gigabyte and core where it has to be done).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from renga.errors import RengaError
from renga.models import store
from renga.server.merging.checkpoints.files import Checkpoint, Tensor
from renga.server.merging.checkpoints.precision import FLOATS, all_finite, stored

_CHUNK = 1 << 18  # bytes; a multiple of every format's width


def fingerprint(checkpoint: Checkpoint, threads: int) -> str:
    """sha256 (hex) over names, formats, shapes and bytes of all tensors, however they are spread over files.

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
    raw, digest = checkpoint.raw(tensor.name), hashlib.sha256()
    for start in range(0, raw.size, _CHUNK):
        chunk = raw[start : start + _CHUNK]
        if tensor.dtype in FLOATS and not all_finite(stored(chunk, tensor.dtype), tensor.dtype):
            raise RengaError(
                f"{tensor.file}: tensor {tensor.name} has values that are NaN or infinite",
                hint="the model is damaged, or its training diverged",
            )
        digest.update(chunk.data)
    return digest.hexdigest()
