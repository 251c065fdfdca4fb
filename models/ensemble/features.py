"""What a client's own model sees in a prompt: features for routers, without a further encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from renga.models.caching import handed
from renga.models.local import LocalModel

BATCH = 32  # answers read together
CHEAP = 4  # log length, mean surprise of the prompt's tokens, best probability and entropy of what comes next


@torch.inference_mode()
def prompt_features(model: LocalModel, prompts: Sequence[str]) -> NDArray[np.float64]:
    """The mean last hidden state of each whole rendered prompt, and CHEAP numbers: [prompts, width + 4]."""
    weights = model.weights
    found = []
    for prompt in prompts:
        ids = weights.prompt_ids(prompt)
        with weights.lock, weights.meter.reading(len(ids)):
            weights.wear(model.adapter)
            output = weights.model(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False)
        hidden = output.hidden_states[-1][0].double().mean(0)
        rows = output.logits[0, :, : weights.vocabulary.size].float().log_softmax(-1)
        said = rows[:-1].gather(1, torch.tensor(ids[1:])[:, None]) if len(ids) > 1 else rows[:0, :1]
        last = rows[-1]
        cheap = [
            math.log(len(ids)),
            float(-said.mean()) if len(said) else 0.0,
            float(last.max().exp()),
            float(-(last.exp() * last.clamp(min=-1e4)).sum()),
        ]
        found.append(np.concatenate([hidden.numpy(), cheap]))
    return np.stack(found) if found else np.zeros((0, CHEAP))


@torch.inference_mode()
def answer_features(model: LocalModel, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """The mean last hidden state over an answer, given its prompt, and its mean log-probability:
    [pairs, width + 1]. A prompt is read once for all its answers."""
    vocabulary = model.weights.vocabulary
    found: list[NDArray[np.float64]] = [np.zeros(0)] * len(pairs)
    for prompt in dict.fromkeys(prompt for prompt, _ in pairs):
        mine = [i for i, (asked, _) in enumerate(pairs) if asked == prompt]
        spelled = vocabulary.attempt_many([pairs[i][1] for i in mine])
        answers = [[*(ids or []), vocabulary.end] for ids in spelled]
        together = BATCH if model.weights.keeps_keys else 1
        before = model.weights.prompt_ids(prompt)
        for start in range(0, len(mine), together):
            seen = _seen(model, before, answers[start : start + together])
            for i, row in zip(mine[start : start + together], seen, strict=True):
                found[i] = row
    return np.stack(found)


def _seen(model: LocalModel, before: list[int], answers: Sequence[list[int]]) -> list[NDArray[np.float64]]:
    """Of answers to one prompt, ids each: [width + 1]. Padding stands behind an answer, where nothing sees
    it."""
    weights = model.weights
    longest = max(map(len, answers))
    ids = torch.tensor([[before[-1], *answer, *[0] * (longest - len(answer))] for answer in answers])
    inputs: dict[str, Any] = {"input_ids": ids, "use_cache": False}
    with weights.lock, weights.meter.reading(len(before) + sum(map(len, answers))):
        weights.wear(model.adapter)
        if len(answers) > 1 and len(before) > 1:
            cache = DynamicCache()
            first = torch.tensor([before[:-1]])
            weights.model.get_decoder()(input_ids=first, **handed(cache, weights.model), use_cache=True)
            cache.batch_repeat_interleave(len(answers))
            inputs |= {**handed(cache, weights.model), "use_cache": True}
        else:
            inputs["input_ids"] = torch.cat([torch.tensor([before[:-1]]).long(), ids], 1)
        output = weights.model(**inputs, output_hidden_states=True, logits_to_keep=longest + 1)
    found = []
    for row, answer in enumerate(answers):
        hidden = output.hidden_states[-1][row, -longest - 1 :][: len(answer) + 1].double().mean(0)
        logits = output.logits[row, : len(answer), : weights.vocabulary.size].float()
        said = logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None]).mean()
        found.append(np.concatenate([hidden.numpy(), [float(said)]]))
    return found
