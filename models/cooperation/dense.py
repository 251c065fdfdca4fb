"""Texts as vectors, by whatever language model is at hand: the weighted mean of its input embeddings.

The last states of a model that was never taught to embed say what comes next more than what a text is about:
their means find less than its embeddings do, and take a pass. Frequent tokens weigh less (SIF, Arora et al.,
ICLR 2017); how frequent one is says its place, vocabularies being in that order. Means point nearly the same
way for all texts of a collection; what they share is shrunk before they are compared, every direction by how
much the texts spread along it (whitening, arXiv:2103.15316, with a ridge).
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
FREQUENT = 1e-4  # the share of all tokens at which one counts half
RIDGE = 0.3  # of the mean spread, that is added to each direction's


class Embedder(Protocol):
    """Whatever makes vectors of texts. Vectors under different fingerprints can't be compared."""

    @property
    def fingerprint(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> Vectors: ...


class TokenVectors:
    """Vectors from a local model's input embeddings. An adapter leaves them as they are."""

    def __init__(self, model: LocalModel) -> None:
        self._vocabulary = model.vocabulary
        self._table = model.weights.model.get_input_embeddings().weight.detach()
        places = np.arange(model.vocabulary.size) + 2.7  # Zipf's law, as Mandelbrot has it
        shares = (1 / places) / (1 / places).sum()
        self._weights = (FREQUENT / (FREQUENT + shares)).astype(np.float32)
        self.fingerprint = f"tokens:{model.weights.fingerprint}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self._table.shape[1]), np.float32)
        for row, ids in enumerate(self._vocabulary.encode_many(texts)):
            if ids:
                vectors[row] = self._weights[ids] @ self._table[ids].float().numpy()
        return unit(vectors)


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
        """vectors: [texts, width]."""
        count, width = vectors.shape
        self._mean = vectors.mean(0) if count > 1 else np.zeros(width, np.float32)
        self._turn = np.eye(width, dtype=np.float32)
        apart = vectors - self._mean
        if count > width:
            spread, directions = np.linalg.eigh(apart.T @ apart / count)
            directions = directions.T
        else:
            _, lengths, directions = np.linalg.svd(apart, full_matrices=False)
            spread = lengths**2 / max(1, count)
        if count > 1 and spread.sum() > 0:
            shrunk = 1 / np.sqrt(np.maximum(spread, 0) + RIDGE * spread.mean())
            self._turn = (directions.T * shrunk @ directions).astype(np.float32)

    def without(self, vectors: Vectors) -> Vectors:
        return unit((vectors - self._mean) @ self._turn)
