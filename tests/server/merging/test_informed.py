"""Merges that look at texts: statistics, coefficients and masks, surgery; on a tiny model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from renga.errors import UsageError
from renga.models.adapter import Adapter, Factors, distance
from renga.models.example import Example
from renga.models.local import LocalModel
from renga.models.scoring import encode_texts
from renga.models.weights import SharedWeights
from renga.server.merging import live, merge
from renga.server.merging.gathered import Statistics, measured
from renga.server.merging.parts import identity
from renga.server.merging.surgery import operated
from tests.models.tiny_models import chat_tokenizer, llama, save_folder
from tests.server.merging.adapters_made import regauged

TEXTS = [Example(f"what is {n} and {n}?", str(2 * n)) for n in range(5)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = save_folder(tmp_path_factory.mktemp("informed") / "model", llama(), chat_tokenizer())
    return SharedWeights.load(str(folder))


@pytest.fixture(scope="module")
def adapters(weights):
    found = []
    for seed, rank in enumerate((2, 3)):
        fresh = weights.fresh_adapter(rank, 2.0 * rank, "all", seed)
        rng = np.random.default_rng(seed)
        factors = {
            n: Factors(f.a, 0.3 * rng.standard_normal(f.b.shape).astype(np.float32))
            for n, f in sorted(fresh.factors.items())
        }
        found.append(Adapter(factors, fresh.alpha, rank, fresh.base))
    return found


@pytest.fixture(scope="module")
def statistics(weights, adapters):
    return measured(weights, adapters, [TEXTS[:3], TEXTS[2:]], seed=1)


def sides(base, into):
    """The bases of coordinates; the standard one where there is none."""
    return base.left, np.eye(into) if base.right is None else base.right


def dense(x, name):
    f = x.factors[name]
    return x.scale * f.b.astype(float) @ f.a.astype(float)


def watched(weights, adapter, text, name, labels):
    """The inputs of a layer, and the gradient of a text's loss by its whole weight: by autograd, densely."""
    seen: dict[str, torch.Tensor] = {}
    weights.wear(adapter)
    module = weights.model.get_submodule(name)
    handle = module.register_forward_hook(lambda _, x, y: seen.update(x=x[0].detach()))
    extra = torch.zeros(module.weight.shape, requires_grad=True)
    other = module.register_forward_hook(lambda _, x, y: y + x[0] @ extra.T)
    with torch.enable_grad():
        logits = weights.logits([(*text.prompt, *text.response[:-1])], [len(text.response)])
        torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum").backward()
    handle.remove()
    other.remove()
    assert extra.grad is not None
    return seen["x"].reshape(-1, seen["x"].shape[-1]).double().numpy(), extra.grad.double().numpy()


def test_statistics_are_those_of_whole_weights_in_coordinates(weights, adapters, monkeypatch):
    """Labels are fixed, so that both sides differentiate the same loss."""
    monkeypatch.setattr(torch, "multinomial", lambda p, n, generator: p.argmax(-1, keepdim=True))
    found = measured(weights, adapters, [TEXTS[:2], TEXTS[2:]])
    encoded = encode_texts(weights, TEXTS[:2])
    for name in ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"):
        u, vt = sides(found.bases[name], None)
        fisher, gram, tokens = np.zeros(()), np.zeros(()), 0
        for text in encoded:
            weights.wear(adapters[0])
            with torch.no_grad():
                logits = weights.logits([(*text.prompt, *text.response[:-1])], [len(text.response)])
            x, gradient = watched(weights, adapters[0], text, name, logits.argmax(-1))
            fisher = fisher + (u.T @ gradient @ vt.T) ** 2 / 2
            gram = gram + vt @ x.T @ x @ vt.T
            tokens += len(x)
        key = identity(adapters[0])
        assert np.allclose(found.fisher[key][name], fisher, rtol=1e-3, atol=1e-4 * fisher.max())
        assert np.allclose(found.gram[key][name], gram / tokens, rtol=1e-3, atol=1e-5 * gram.max())


def test_fisher_is_the_weighted_mean_of_coordinates(adapters, statistics):
    merged = merge(adapters, "fisher", [1, 2], statistics=statistics).adapter
    for name, base in statistics.bases.items():
        u, vt = sides(base, None)
        total = np.zeros((u.shape[1], len(vt)))
        mass = np.zeros_like(total)
        information = [statistics.fisher[identity(x)][name] for x in adapters]
        floor = 1e-6 * np.mean(information)
        for w, x, f in zip((1 / 3, 2 / 3), adapters, information, strict=True):
            total += w * (f + floor) * (u.T @ dense(x, name) @ vt.T)
            mass += w * (f + floor)
        expected = u @ (total / mass) @ vt
        assert np.linalg.norm(dense(merged, name) - expected) < 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("space", ["core", "knots"])
def test_regmean_minimises_what_it_says(weights, adapters, space):
    """No other update in its space has a smaller sum of squared output differences."""
    known = measured(weights, adapters, [TEXTS[:3], TEXTS[2:]], space=space, fisher=False)
    merged = merge(adapters, "regmean", [1, 2], statistics=known, shrink=1.0, ridge=1e-9).adapter
    rng = np.random.default_rng(0)
    for name, base in known.bases.items():
        left, right = sides(base, adapters[0].factors[name].a.shape[1])

        def loss(update, name=name, right=right):
            total = 0.0
            for w, x in zip((1 / 3, 2 / 3), adapters, strict=True):
                gap = (update - dense(x, name)) @ right.T
                total += w * np.trace(gap @ known.gram[identity(x)][name] @ gap.T)
            return total

        least = loss(dense(merged, name))
        size = np.linalg.norm(dense(merged, name))
        for _ in range(5):
            step = left @ rng.standard_normal((left.shape[1], len(right))) @ right
            other = dense(merged, name) + 0.01 * size * step / np.linalg.norm(step)
            assert loss(other) > least * (1 - 1e-6)
        mean = sum(w * dense(x, name) for w, x in zip((1 / 3, 2 / 3), adapters, strict=True))
        assert least <= loss(mean) * (1 + 1e-6)


@pytest.mark.parametrize("method", ["fisher", "regmean"])
def test_laws_hold_with_statistics(adapters, statistics, method):
    x, y = adapters
    assert distance(merge([x], method, [3.0], statistics=statistics).adapter, x) < 1e-6
    assert distance(merge([x, x, x], method, statistics=statistics).adapter, x) < 1e-6
    one = merge([x, y], method, [1, 2], statistics=statistics).adapter
    two = merge([y, x], method, [2, 1], statistics=statistics).adapter
    assert distance(one, two) < 1e-12
    assert distance(merge([x, y], method, [5, 10], statistics=statistics).adapter, one) < 1e-6
    other = Adapter(x.factors, 2 * x.alpha, x.rank, x.base)
    with pytest.raises(UsageError, match="statistics"):
        merge([other, y], method, statistics=statistics)
    with pytest.raises(UsageError, match="needs statistics"):
        merge([x, y], method)


def test_statistics_do_not_depend_on_how_updates_are_split(weights, adapters):
    x, y = adapters
    plain = measured(weights, [x, y], [TEXTS[:2], TEXTS[2:]], fisher=False)
    turned = [regauged(x, 1), regauged(y, 2)]
    again = measured(weights, turned, [TEXTS[:2], TEXTS[2:]], fisher=False)
    one = merge([x, y], "regmean", statistics=plain).adapter
    two = merge(turned, "regmean", statistics=again).adapter
    assert distance(two, one) < 1e-3


def entropy_of(weights, adapter, texts):
    weights.wear(adapter)
    prompts = [weights.template.prompt_ids(weights.tokenizer, t.prompt) for t in texts]
    with torch.no_grad():
        return float(live.entropy(weights, prompts))


@pytest.mark.parametrize(
    ("method", "options"),
    [("adamerging", {"by": "model"}), ("adamerging", {"by": "block"}), ("concrete", {})],
)
def test_what_is_learned_lowers_the_entropy(weights, adapters, method, options):
    how = live.Learning(weights, TEXTS, steps=25, rate=0.05 if method == "adamerging" else 0.3, batch=5)
    before = entropy_of(weights, merge(adapters, "average").adapter, TEXTS)
    merged = merge(adapters, method, learning=how, **options).adapter
    assert entropy_of(weights, merged, TEXTS) < before
    short = replace(how, steps=5)
    one, again = (merge(adapters, method, learning=short, **options).adapter for _ in range(2))
    assert distance(again, one) < 1e-4, "the same seed learns the same"
    assert distance(merge([adapters[0]] * 3, method, learning=short, **options).adapter, adapters[0]) < 1e-6
    with pytest.raises(UsageError, match="unlabelled texts"):
        merge(adapters, method)


def test_without_a_step_the_coefficients_are_the_weights(weights, adapters):
    how = live.Learning(weights, TEXTS, steps=0)
    merged = merge(adapters, "adamerging", [1, 3], learning=how).adapter
    assert distance(merged, merge(adapters, "average", [1, 3]).adapter) < 1e-5


def test_the_merge_that_is_worn_while_learning_is_the_merge(weights, adapters):
    """Entropy with the hooks on is that with the result put on as an adapter."""
    from renga.server.merging.parts import gathered
    from renga.server.merging.schedule import Schedule

    parts = gathered(adapters, Schedule([1.0, 1.0]))
    held = live._Live.of(parts, "core")
    prompts = [weights.template.prompt_ids(weights.tokenizer, t.prompt) for t in TEXTS]
    with torch.no_grad(), held.worn(weights, lambda name: held.stacks[name].mean(dim=0)):
        worn = float(live.entropy(weights, prompts))
    assert worn == pytest.approx(entropy_of(weights, merge(adapters).adapter, TEXTS), abs=1e-4)


def test_surgery_brings_a_merge_back_to_its_task(weights, adapters):
    merged = merge(adapters).adapter
    done = operated(weights, merged, adapters[0], TEXTS, rank=8, steps=150, rate=1e-2)
    assert done.after < 0.7 * done.before

    def logits(adapter):
        model = LocalModel(weights, adapter)
        weights.wear(model.adapter)
        ids = [weights.template.prompt_ids(weights.tokenizer, t.prompt) for t in TEXTS]
        with torch.no_grad():
            return weights.logits(ids, [1] * len(ids)).log_softmax(-1)

    wanted, plain = logits(adapters[0]), logits(merged)
    with done.on(weights):
        mended = logits(merged)
    assert (mended - wanted).abs().mean() < (plain - wanted).abs().mean()
    assert torch.equal(logits(merged), plain), "off again"
    with pytest.raises(UsageError, match="few texts"):
        operated(weights, merged, adapters[0], [])


def test_statistics_say_what_they_hold(statistics, adapters):
    assert isinstance(statistics, Statistics)
    assert statistics.texts == 6
    assert set(statistics.fisher) == {identity(x) for x in adapters}
