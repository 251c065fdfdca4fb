"""PEFT's `add_weighted_adapter` beside ours: where both mean the same, the same numbers; else, why not."""

from __future__ import annotations

import numpy as np
import peft
import pytest
import torch

from renga.models.adapter import Adapter, Factors
from renga.server.merging import merge
from tests.models.tiny_models import llama

N, RANK = 3, 4


@pytest.fixture(scope="module")
def world():
    """Three adapters of one rank and scale 1 in a PEFT model, and as ours."""
    torch.manual_seed(0)
    wrapped, ours = None, []
    for k in range(N):
        config = peft.LoraConfig(
            r=RANK, lora_alpha=RANK, target_modules=["q_proj", "up_proj"], init_lora_weights=False
        )
        if wrapped is None:
            wrapped = peft.get_peft_model(llama(), config, adapter_name="0")
        else:
            wrapped.add_adapter(str(k), config)
        factors = {
            name: Factors(
                layer.lora_A[str(k)].weight.detach().numpy().copy(),
                layer.lora_B[str(k)].weight.detach().numpy().copy(),
            )
            for name, layer in wrapped.base_model.model.named_modules()
            if isinstance(layer, peft.tuners.lora.LoraLayer)
        }
        ours.append(Adapter(factors, float(RANK), RANK, "base"))
    return wrapped, ours


def theirs(world, kind, weights, **options):
    """What PEFT adds to each module's weight."""
    wrapped, ours = world
    name = f"{kind}-{len(wrapped.peft_config)}"
    torch.manual_seed(0)
    wrapped.add_weighted_adapter([str(k) for k in range(N)], weights, name, combination_type=kind, **options)
    return {
        module: wrapped.base_model.model.get_submodule(module)
        .get_delta_weight(name)
        .detach()
        .double()
        .numpy()
        for module in ours[0].factors
    }


def apart(x, updates):
    gap = [x.scale * f.b.astype(float) @ f.a - updates[name] for name, f in x.factors.items()]
    return np.linalg.norm([np.linalg.norm(g) for g in gap]) / np.linalg.norm(
        [np.linalg.norm(u) for u in updates.values()]
    )


WEIGHTS = [0.5, 0.3, 0.2]


def test_cat_and_svd_are_the_exact_average_and_its_best_rank(world):
    assert apart(merge(world[1], "average", WEIGHTS).adapter, theirs(world, "cat", WEIGHTS)) < 1e-5
    ours = merge(world[1], "average", WEIGHTS, rank=5).adapter
    assert apart(ours, theirs(world, "svd", WEIGHTS, svd_rank=5)) < 1e-5


def test_linear_is_no_mean(world):
    """Its factors carry the roots of the weights, so it has cross terms, and N copies give N times the input.

    With weights w its factors are sums with the roots of w: ours, with weights proportional to those roots,
    is the same up to the square of their sum.
    """
    roots = np.sqrt(WEIGHTS)
    ours = merge(world[1], "task_arithmetic", roots.tolist(), space="factors").adapter
    scaled = Adapter(ours.factors, ours.alpha * float(roots.sum() ** 2), ours.rank, "base")
    assert apart(scaled, theirs(world, "linear", WEIGHTS)) < 1e-5
    assert apart(merge(world[1], "average", WEIGHTS).adapter, theirs(world, "linear", WEIGHTS)) > 0.3


@pytest.mark.parametrize(("kind", "method"), [("ties", "ties"), ("magnitude_prune", "magnitude")])
def test_trimmed_types_are_ours_on_factors(world, kind, method):
    """With weights of one both elect alike. PEFT's pruning sums where ours takes the mean: N to the square,
    as both factors are sums."""
    ours = merge(world[1], method, density=0.5, space="factors").adapter
    times = 1.0 if kind == "ties" else float(N**2)
    scaled = Adapter(ours.factors, ours.alpha * times, ours.rank, "base")
    assert apart(scaled, theirs(world, kind, [1.0] * N, density=0.5)) < 1e-5
    # Weights of 1/N shrink its result of TIES by N again: it has divided by the number of voters already.
    if kind == "ties":
        shrunk = theirs(world, kind, [1 / N] * N, density=0.5)
        assert apart(Adapter(ours.factors, ours.alpha / N, ours.rank, "base"), shrunk) < 1e-5


@pytest.mark.parametrize(("kind", "method"), [("ties_svd", "ties"), ("magnitude_prune_svd", "magnitude")])
def test_svd_types_are_ours_on_dense_updates(world, kind, method):
    """They trim each module by itself; the papers, and ours by default, all modules together."""
    ours = merge(world[1], method, density=0.3, space="dense", scope="module", rank=6).adapter
    times = 1.0 if kind == "ties_svd" else float(N)
    scaled = Adapter(ours.factors, ours.alpha * times, ours.rank, "base")
    assert apart(scaled, theirs(world, kind, [1.0] * N, density=0.3, svd_rank=6)) < 1e-4


def test_dare_drops_the_same_share_and_grows_alike(world):
    """Its draws come from the global generator, so only means can be compared: both are the plain sum's."""
    wrapped, ours = world
    name = next(iter(ours[0].factors))
    layer = wrapped.base_model.model.get_submodule(name)
    exact = np.zeros(layer.weight.shape)
    for w, x in zip(WEIGHTS, ours, strict=True):
        exact += w * x.factors[name].b.astype(float) @ x.factors[name].a
    from peft.utils.merge_utils import dare_linear

    updates = [layer.get_delta_weight(str(k)).detach() for k in range(N)]
    theirs, mine = [], []
    for seed in range(40):
        torch.manual_seed(seed)
        theirs.append(dare_linear(updates, torch.tensor(WEIGHTS), 0.5).double().numpy())
        found = merge(
            ours, "dare", WEIGHTS, seed=seed, density=0.5, space="dense", only=[f"^{name}$"]
        ).adapter
        mine.append(found.scale * found.factors[name].b.astype(float) @ found.factors[name].a)
    spread = [float(np.mean([np.linalg.norm(d - exact) for d in found])) for found in (theirs, mine)]
    assert spread[0] == pytest.approx(spread[1], rel=0.05)
    for means in (theirs, mine):
        assert np.linalg.norm(np.mean(means, axis=0) - exact) < 1.5 * spread[0] / np.sqrt(40)
