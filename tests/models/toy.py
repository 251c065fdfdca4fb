"""Language models in float64 whose rows are a hash of what was read: exact, and made of nothing."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from renga.models.composed import ALL_WANTS, RowsSession
from renga.models.meter import Meter
from tests.models.tiny_tokenizers import worded


def is_text(token):
    return token.isascii() and token.decode().isprintable()


class Toy:
    """A row is log softmax of `sharp` times normal numbers drawn by (seed, prompt, ids read); `end` is added
    to the end's logit. One pass is counted for each feed. text: says nothing but ASCII, as good as."""

    offers = ALL_WANTS

    def __init__(self, vocabulary=None, seed=0, sharp=2.0, end=-2.0, name="toy", text=False):
        self.vocabulary = vocabulary or worded("the", "them", "she", " on")
        self.seed, self.sharp, self.end, self.name = seed, sharp, end, name
        self.meter = Meter()
        spelled = [self.vocabulary.token_bytes(id) for id in range(self.vocabulary.size)]
        self.strange = [id for id, token in enumerate(spelled) if text and token and not is_text(token)]

    def open(self, prompt):
        return ToySession(self, prompt)

    def row(self, prompt, ids):
        facts = repr((self.seed, prompt.text, list(ids))).encode()
        rng = np.random.default_rng(int.from_bytes(hashlib.sha256(facts).digest()[:8], "big"))
        logits = self.sharp * rng.standard_normal(self.vocabulary.size)
        logits[list(self.vocabulary.specials)] -= 20.0
        logits[self.vocabulary.end] += 20.0 + self.end
        logits[self.strange] -= 30.0
        return torch.from_numpy(logits).log_softmax(-1)


class ToySession(RowsSession):
    def __init__(self, model, prompt):
        super().__init__(prompt, model.vocabulary)
        self.model = model

    def _rows(self, read, fed):
        with self.model.meter.reading(len(fed)):
            return torch.stack(
                [self.model.row(self._prompt, [*read, *fed[:place]]) for place in range(len(fed) + 1)]
            )
