"""Models of other shapes made ready for a merge, as folders: in another's shape, or with its vocabulary.

Both are approximations that need looking at (docs/benchmarks.md says where they help); the result of either
is an ordinary model in float32, which is scored and merged like any other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from renga.errors import RengaError, UsageError
from renga.models.example import Example
from renga.models.references import load_tokenizer
from renga.models.scoring import encode_texts
from renga.models.vocabulary import Vocabulary
from renga.models.weights import SharedWeights
from renga.server.merging.checkpoints.carried import carry
from renga.server.merging.checkpoints.files import CONFIG, Checkpoint, open_checkpoint
from renga.server.merging.checkpoints.opened import EMBEDDINGS, HEAD
from renga.server.merging.checkpoints.parts import Source
from renga.server.merging.shapes.activations import activations, matched
from renga.server.merging.shapes.bringing import brought
from renga.server.merging.shapes.vocabularies import shared, transplanted

F32 = NDArray[np.float32]

# Ids of special tokens in a config: those of the donor hold for its vocabulary.
_SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")


def in_shape_of(first: Path, other: Path, texts: Sequence[Example], folder: Path) -> float:
    """Write `other`, its neurons matched to `first`'s by what both do on the texts; the mean likeness.

    For models of the llama family with one vocabulary, of any width and depth. Raises RengaError where
    vocabularies differ, or a tensor is none of a llama's.
    """
    one, two = SharedWeights.load(str(first)), SharedWeights.load(str(other))
    if one.vocabulary.fingerprint != two.vocabulary.fingerprint:
        raise RengaError(
            f"{first} and {other} have different vocabularies: their neurons can't be matched",
            hint="--vocabulary brings models to one vocabulary first",
        )
    read = [[*text.prompt, *text.response] for text in encode_texts(one, texts)]
    ids = [torch.tensor([words]) for words in read if words]
    if not ids:
        raise UsageError("there are no texts to match neurons by")
    matches, layers = matched(activations(one.model, ids), activations(two.model, ids))
    _write(brought(_numbers(open_checkpoint(other)), matches, layers), open_checkpoint(first), {}, folder)
    likeness = [match.likeness for space, match in matches.items() if not space.startswith("keys")]
    return float(np.mean(likeness))


def with_vocabulary(receiver: Path, donor: Path, folder: Path, *, kind: str = "least_squares") -> int:
    """Write `receiver` with the donor's tokenizer, rows transplanted; how many tokens both have.

    Tokens of both keep the receiver's own rows, the others are the donor's, carried by a map that is fitted
    on the shared ones (`vocabularies.bridge`). Raises UsageError where too few are shared.
    """
    ours, theirs = open_checkpoint(receiver), open_checkpoint(donor)
    numbers = _numbers(ours)
    foreign = next(Source(theirs, name) for name in theirs.tensors if name.endswith(EMBEDDINGS))
    rows = np.asarray(foreign.numbers(slice(None), np.float32), np.float32).reshape(foreign.shape)
    own = _tokens(receiver)
    new = _tokens(donor, len(rows))
    for name, x in numbers.items():
        if name.endswith((*EMBEDDINGS, HEAD)):
            numbers[name] = transplanted(x[: len(own)], own[: len(x)], rows, new, kind=kind)
    changes = {"vocab_size": len(rows), **{key: theirs.config.get(key) for key in _SPECIAL}}
    _write(numbers, ours, changes, folder, tokenizer=theirs)
    return len(shared(own, new))


def _tokens(folder: Path, rows: int | None = None) -> list[bytes]:
    """The bytes of every token, none for special ones; as many as there are rows, where that is said."""
    tokenizer = load_tokenizer(str(folder))
    vocabulary = Vocabulary(tokenizer, tokenizer.eos_token_id)
    special = vocabulary.special_names
    found = [b"" if k in special else vocabulary.token_bytes(k) for k in range(vocabulary.size)]
    return found if rows is None else [*found, *[b""] * (rows - len(found))][:rows]


def _numbers(checkpoint: Checkpoint) -> dict[str, F32]:
    """All tensors of a checkpoint in float32."""
    return {
        name: np.asarray(Source(checkpoint, name).numbers(slice(None), np.float32)).reshape(tensor.shape)
        for name, tensor in checkpoint.tensors.items()
    }


def _write(
    numbers: Mapping[str, F32],
    like: Checkpoint,
    changes: Mapping[str, Any],
    folder: Path,
    tokenizer: Checkpoint | None = None,
) -> None:
    folder.mkdir(parents=True)
    held = {name: np.ascontiguousarray(x) for name, x in numbers.items()}
    save_file(held, folder / "model.safetensors", {"format": "pt"})
    carry(tokenizer or like, folder)
    config = {**like.config, **changes, "dtype": "float32"}
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
