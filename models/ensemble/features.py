"""What a client's own model sees in a prompt: features for routers, without a further encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from renga.models.local import LocalModel

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
    [pairs, width + 1]."""
    weights = model.weights
    found = []
    for prompt, answer in pairs:
        before = weights.prompt_ids(prompt)
        ids = [*(weights.vocabulary.attempt_many([answer])[0] or []), weights.vocabulary.end]
        with weights.lock, weights.meter.reading(len(before) + len(ids)):
            weights.wear(model.adapter)
            output = weights.model(
                input_ids=torch.tensor([before + ids]), output_hidden_states=True, use_cache=False
            )
        hidden = output.hidden_states[-1][0, len(before) - 1 :].double().mean(0)
        logits = output.logits[0, len(before) - 1 : -1, : weights.vocabulary.size].float()
        said = logits.log_softmax(-1).gather(1, torch.tensor(ids)[:, None]).mean()
        found.append(np.concatenate([hidden.numpy(), [float(said)]]))
    return np.stack(found)
