"""Texts as vectors, by whatever language model is at hand: the mean of its last states.

Raw means of a language model's states point nearly the same way for all texts. What they share, their mean
and their few strongest directions, is taken out before they are compared ("all but the top",
arXiv:1702.01417).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from renga.models.local import LocalModel
from renga.models.scoring import batches_by_length

Vectors = NDArray[np.float32]  # [texts, width], each of length 1

MOST_TOKENS = 512  # of a text that are read


class Embedder(Protocol):
    """Whatever makes vectors of texts. Vectors under different fingerprints can't be compared."""

    @property
    def fingerprint(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> Vectors: ...


class MeanStates:
    """Vectors from a local model, its adapter worn: the mean of the last hidden states of a text's tokens."""

    def __init__(self, model: LocalModel, *, batch: int = 16) -> None:
        self._model = model
        self._batch = batch
        adapter = "" if model.adapter is None else f"+{model.adapter.digest}"
        self.fingerprint = f"mean:{model.weights.fingerprint}{adapter}"

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> Vectors:
        weights = self._model.weights
        weights.wear(self._model.adapter)
        ids = [
            encoded[:MOST_TOKENS] or [weights.vocabulary.end]
            for encoded in weights.vocabulary.encode_many(texts)
        ]
        width = int(weights.model.get_input_embeddings().weight.shape[1])
        vectors = np.zeros((len(texts), width), np.float32)
        for chosen in batches_by_length([len(encoded) for encoded in ids], self._batch):
            longest = max(len(ids[i]) for i in chosen)
            table = torch.zeros((len(chosen), longest), dtype=torch.long)
            mask = torch.zeros((len(chosen), longest))
            for row, i in enumerate(chosen):
                table[row, : len(ids[i])] = torch.tensor(ids[i])
                mask[row, : len(ids[i])] = 1
            with weights.meter.reading(int(mask.sum())):
                # Padding stands on the right, where nothing before it sees it.
                states = weights.model.get_decoder()(input_ids=table, use_cache=False).last_hidden_state
            mean = (states.float() * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
            vectors[chosen] = mean.numpy()
        return unit(vectors)


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Each row at length 1; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


class Shared:
    """What the vectors of a collection have in common, to be taken out of them and of a query's."""

    def __init__(self, vectors: Vectors) -> None:
        """vectors: [texts, width]. The strongest directions are taken out where there are enough texts to
        tell them from chance."""
        self._mean = vectors.mean(0) if len(vectors) > 1 else np.zeros(vectors.shape[1], np.float32)
        count = min(vectors.shape[1] // 100, len(vectors) // 10)
        self._directions = np.zeros((0, vectors.shape[1]), np.float32)
        if count:
            _, _, found = np.linalg.svd(vectors - self._mean, full_matrices=False)
            self._directions = found[:count].astype(np.float32)

    def without(self, vectors: Vectors) -> Vectors:
        rest = vectors - self._mean
        return unit(rest - rest @ self._directions.T @ self._directions)
