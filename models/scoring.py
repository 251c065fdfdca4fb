"""What a model says about texts it is shown: losses in bits per byte, and its rows.

Every text is a prompt and a response; what is scored is the response, given the prompt in the model's own
template. Texts are read in batches of like length, and only the places that predict the response are
computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from renga.models.example import Example
from renga.models.knowledge import Rows, rows_from_logits
from renga.models.local import LocalModel
from renga.models.weights import SharedWeights

Tick = Callable[[int, int], None]  # texts done, texts in all


@dataclass(frozen=True)
class Encoded:
    """A text as one model reads it. The response ends with the id that ends an answer."""

    prompt: tuple[int, ...]
    response: tuple[int, ...]  # [n], the last is vocabulary.end
    bytes: int  # of the response as text

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.response)


def encode_texts(weights: SharedWeights, examples: Sequence[Example]) -> list[Encoded]:
    """The examples, all with responses, as `weights` reads them."""
    responses = [example.response or "" for example in examples]
    ids = weights.vocabulary.encode_many(responses)
    return [
        Encoded(
            prompt=tuple(weights.template.prompt_ids(weights.tokenizer, example.prompt)),
            response=(*response_ids, weights.vocabulary.end),
            bytes=len(response.encode()),
        )
        for example, response, response_ids in zip(examples, responses, ids, strict=True)
    ]


def batches_by_length(lengths: Sequence[int], batch: int) -> list[list[int]]:
    """Indices in batches of like length, longest first (what does not fit in memory shows at once)."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    return [order[i : i + batch] for i in range(0, len(order), batch)]


@torch.inference_mode()
def log_likelihoods(
    model: LocalModel, texts: Sequence[Encoded], *, batch: int = 16, tick: Tick | None = None
) -> list[np.ndarray]:
    """Per text the natural log-probability of each id of its response: a list of [n], the end included."""
    result: list[np.ndarray] = [np.zeros(0)] * len(texts)
    for chosen, logits in _batched_logits(model, texts, batch, tick):
        targets = torch.tensor([t for i in chosen for t in texts[i].response])
        picked = -torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
        for i, part in zip(
            chosen, torch.split(picked, [len(texts[i].response) for i in chosen]), strict=True
        ):
            result[i] = part.double().numpy()
    return result


def bits_per_byte(
    model: LocalModel, examples: Sequence[Example], *, batch: int = 16, tick: Tick | None = None
) -> np.ndarray:
    """Per text the loss of its response given its prompt: [texts], bits per byte of the response.

    The end token is not counted: bytes are what texts have in common across tokenizers, and an end is none.
    """
    texts = encode_texts(model.weights, examples)
    scores = log_likelihoods(model, texts, batch=batch, tick=tick)
    bits = [-float(score[:-1].sum()) / math.log(2) for score in scores]
    return np.array([b / max(1, text.bytes) for b, text in zip(bits, texts, strict=True)])


@torch.inference_mode()
def rows_of(
    model: LocalModel,
    examples: Sequence[Example],
    *,
    top_k: int,
    floor: float,
    batch: int = 8,
    tick: Tick | None = None,
) -> list[Rows]:
    """What `model` says about each response, as knowledge that can travel (see `renga.models.knowledge`)."""
    texts = encode_texts(model.weights, examples)
    result: list[Rows | None] = [None] * len(texts)
    for chosen, logits in _batched_logits(model, texts, batch, tick):
        parts = torch.split(logits, [len(texts[i].response) for i in chosen])
        for i, part in zip(chosen, parts, strict=True):
            result[i] = rows_from_logits(part, texts[i].response, model.vocabulary, top_k, floor)
    return [rows for rows in result if rows is not None]


def _batched_logits(
    model: LocalModel, texts: Sequence[Encoded], batch: int, tick: Tick | None
) -> Iterator[tuple[list[int], torch.Tensor]]:
    model.weights.wear(model.adapter)
    done = 0
    for chosen in batches_by_length([text.length for text in texts], batch):
        sequences = [(*texts[i].prompt, *texts[i].response[:-1]) for i in chosen]
        yield chosen, model.weights.logits(sequences, [len(texts[i].response) for i in chosen])
        done += len(chosen)
        if tick:
            tick(done, len(texts))
