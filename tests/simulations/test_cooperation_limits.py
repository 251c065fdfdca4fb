"""What limits drafts: agreement by shared noise is what sampling gives; passes are counted as they come."""

import math

import numpy as np
import pytest
import torch

from renga.models.contract import Prompt, Sampling
from renga.models.cooperation.drafters import ModelDrafter
from renga.models.cooperation.speculate import speculate
from renga.models.generate import generate
from renga.models.local import LocalModel
from renga.simulations.cooperation_limits import _laws, agreement, distance, passes, ranked
from tests.models.tiny_weights import random_adapter, tiny


def law(seed, size=12, sharp=2.0):
    return (sharp * torch.randn(size, generator=torch.Generator().manual_seed(seed))).double().log_softmax(-1)


@pytest.mark.parametrize("seeds", [(0, 1), (2, 3), (4, 4)])
def test_agreement_is_what_sampling_gives(seeds):
    p, q = map(law, seeds)
    noise = np.random.default_rng(0).gumbel(size=(40_000, 12))
    counted = np.mean((p.numpy() + noise).argmax(1) == (q.numpy() + noise).argmax(1))
    found, far = agreement(p, q), distance(p, q)
    assert abs(found - counted) < 0.01
    assert (1 - far) / (1 + far) - 1e-9 <= found <= 1 - far + 1e-9


def test_laws_that_share_nothing_never_agree():
    p = torch.tensor([0.0, -math.inf], dtype=torch.float64)
    assert agreement(p, p.flip(0)) == 0 and distance(p, p.flip(0)) == 1 and agreement(p, p) == 1


def test_passes_by_hand():
    row = [[0, 0, 1, 0, 0]]
    assert passes(row, 1) == 3 / 5  # 0 +1, 1 alone, 0 +1: the last is the target's own
    assert passes(row, 8) == 2 / 5
    assert passes(row, 8, wide=2) == 1 / 5
    assert passes(row, 2, teeth=2) == 2 / 5  # two drafts, and the target's own; then the other two
    assert passes([[1, 0, 0]], 2, teeth=2) == 2 / 3
    assert passes([[9]], 4, 2, 2) == 1


@pytest.mark.parametrize("length", [1, 4])
def test_passes_are_those_of_real_drafts(length):
    weights = tiny("llama")
    target, drafter = LocalModel(weights), LocalModel(weights, random_adapter(weights, seed=1, size=0.02))
    prompt, ranks = Prompt("Who counts?"), []
    model = speculate(ModelDrafter(drafter), target, length=length)
    for seed in range(4):
        how = Sampling(0.8, max_tokens=16, seed=seed)
        said = list(generate(model, prompt, how))
        said += [target.vocabulary.end] * (len(said) < how.max_tokens)
        ranks.append(ranked(_laws(drafter, prompt, said, how), said, target, how))
    assert passes(ranks, length) == pytest.approx(model.tally.passes / sum(map(len, ranks)))
