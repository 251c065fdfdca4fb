import itertools

import numpy as np
import pytest
import torch

from renga.errors import RengaError, UsageError
from renga.server.merging.shapes import vocabularies
from renga.server.merging.shapes.activations import activations, matched
from renga.server.merging.shapes.bringing import brought
from renga.server.merging.shapes.neurons import (
    Match,
    correlations,
    greedy,
    in_blocks,
    layer_pairs,
    likeness_of_layers,
    permuted,
    softly,
    transport,
)
from renga.server.merging.shapes.vocabularies import bridge, explained, shared, transplanted
from tests.models import tiny_models


def rng(seed=0):
    return np.random.default_rng(seed)


def test_what_vocabularies_share():
    a = [b"x", b"y", b"", b"z", b"z", b"w"]
    b = [b"w", b"", b"q", b"x", b"z", b"q"]
    assert shared(a, b).tolist() == [[5, 0], [0, 3]]


@pytest.mark.parametrize("kind", vocabularies.MAPS)
def test_a_turned_and_moved_space_is_found_again(kind):
    y = rng().standard_normal((400, 12))
    turn = np.linalg.qr(rng(1).standard_normal((12, 12)))[0]
    x = 3.0 * (y - 1.0) @ turn + rng(2).standard_normal(12)
    fitted = bridge(x[:300], y[:300], kind)
    assert explained(fitted.carry(x[300:]), y[300:]) > 0.999


def test_spaces_of_unequal_width():
    y = rng().standard_normal((500, 8))
    x = y @ np.linalg.qr(rng(1).standard_normal((20, 8)))[0].T
    assert explained(bridge(x[:400], y[:400]).carry(x[400:]), y[400:]) > 0.999
    narrow = bridge(y[:400], x[:400])
    assert narrow.matrix.shape == (8, 20)
    assert explained(narrow.carry(y[400:]), x[400:]) > 0.999


def test_procrustes_is_the_best_turn_and_scale():
    x, y = rng(3).standard_normal((60, 3)), rng(4).standard_normal((60, 3))
    fitted = bridge(x, y)
    best = np.square(fitted.carry(x) - y).sum()
    for seed in range(200):
        turn = np.linalg.qr(rng(seed).standard_normal((3, 3)))[0]
        turned = (x - x.mean(0)) @ turn
        centred = y - y.mean(0)
        scale = (turned * centred).sum() / np.square(turned).sum()
        assert np.square(scale * turned - centred).sum() >= best - 1e-9


def test_rows_are_transplanted_and_shared_ones_kept():
    tokens = [bytes([65 + k]) for k in range(26)]
    space = rng().standard_normal((26, 4))
    turn = np.linalg.qr(rng(1).standard_normal((4, 4)))[0]
    receiver, donor = space[:20], (space @ turn)[4:]
    rows = transplanted(receiver, tokens[:20], donor, tokens[4:])
    np.testing.assert_allclose(rows, space[4:], atol=0.35)  # not exact: either side is centred on 16 tokens
    assert np.array_equal(rows[:16], receiver[4:].astype(np.float32))
    with pytest.raises(UsageError, match="too few"):
        transplanted(receiver, tokens[:20], donor[-7:], tokens[-7:])
    with pytest.raises(UsageError, match="did you|unknown map"):
        bridge(receiver, receiver, "ortogonal")


def test_the_permutation_is_the_best_of_all():
    likeness = rng().random((6, 6))
    best = max(sum(likeness[i, j] for i, j in enumerate(p)) for p in itertools.permutations(range(6)))
    match = permuted(likeness)
    # Without SciPy the plan is rounded: within a hundredth of the best here.
    assert match.likeness * 6 >= best - 0.01 * best
    assert sorted(match.gather.argmax(axis=1)) == list(range(6))


def test_clear_matches_need_no_scipy():
    x = rng().standard_normal((300, 40))
    order = rng(1).permutation(40)
    y = x[:, order] + 0.3 * rng(2).standard_normal(x.shape)
    found = greedy(transport(correlations(x, y), 200.0))
    assert np.array_equal(order[found], np.arange(40))


def test_transport_has_uniform_margins():
    plan = transport(rng().random((5, 9)), 30.0)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 5, atol=1e-6)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / 9, atol=1e-6)


def test_split_neurons_find_each_other():
    x = rng().standard_normal((500, 6))
    match = softly(correlations(x, np.repeat(x, 2, axis=1)))
    want = np.kron(np.eye(6), [[0.5, 0.5]])
    np.testing.assert_allclose(match.gather, want, atol=1e-2)
    np.testing.assert_allclose(match.spread, 2 * want.T, atol=1e-2)


def test_layers_are_paired_in_order():
    x = [rng(k).standard_normal((200, 10)) for k in range(4)]
    turn = np.linalg.qr(rng(9).standard_normal((10, 10)))[0]
    y = [x[0] @ turn, x[1] @ turn, x[1] @ turn + 0.1 * x[2], x[3] @ turn]
    assert likeness_of_layers(x[0], y[0]) == pytest.approx(1.0)
    likeness = np.array([[likeness_of_layers(a, b) for b in y] for a in x])
    assert layer_pairs(likeness).tolist() == [0, 1, 2, 3]
    assert layer_pairs(np.array([[0, 1.0], [0.5, 0], [0, 0.9]])).tolist() == [1, 1, 1]


def texts():
    return [torch.tensor(rng(k).integers(0, 320, (1, 60))) for k in range(6)]


def weights_of(model):
    return {n: x.numpy().copy() for n, x in model.state_dict().items() if n != "lm_head.weight"}


def logits(model, weights):
    held = {name: torch.tensor(x) for name, x in weights.items()}
    held["lm_head.weight"] = held["model.embed_tokens.weight"]
    model.load_state_dict(held)
    return model(input_ids=texts()[0]).logits.detach()


def shuffled(weights, model):
    """The same function, with the neurons of every space in another order."""
    config = model.config

    def order(n, seed, width=1):
        gather = np.eye(n)[rng(seed).permutation(n)]
        return in_blocks(Match(gather, gather.T, 1.0), width)

    matches = {"hidden": order(config.hidden_size, 0)}
    for number in range(config.num_hidden_layers):
        groups = order(config.num_key_value_heads, 7 + number)
        matches[f"inner.{number}"] = order(config.intermediate_size, 20 + number)
        matches[f"keys.{number}"] = in_blocks(groups, 8)
        matches[f"queries.{number}"] = in_blocks(groups, 16)
    return brought(weights, matches, np.arange(config.num_hidden_layers))


def test_a_shuffled_model_is_the_same_and_is_brought_back_exactly():
    model, other = tiny_models.llama(), tiny_models.llama()
    weights = weights_of(model)
    mixed = shuffled(weights, model)
    want = logits(model, weights)
    assert not np.allclose(
        mixed["model.layers.0.mlp.up_proj.weight"], weights["model.layers.0.mlp.up_proj.weight"]
    )
    torch.testing.assert_close(logits(other, mixed), want, rtol=1e-3, atol=1e-3)
    matches, layers = matched(activations(model, texts()), activations(other, texts()))
    back = brought(mixed, matches, layers)
    assert all(np.allclose(back[name], x, atol=1e-6) for name, x in weights.items())
    assert matches["hidden"].likeness > 0.999


def test_a_model_of_split_neurons_is_brought_to_the_narrow_one():
    """Every MLP neuron twice, each with half of the say: wider, the same function."""
    model = tiny_models.llama()
    wide = tiny_models.llama(intermediate_size=96)
    weights = weights_of(model)
    split = dict(weights)
    for name, x in weights.items():
        if "gate_proj" in name or "up_proj" in name:
            split[name] = np.repeat(x, 2, axis=0)
        elif "down_proj" in name:
            split[name] = np.repeat(x, 2, axis=1) / 2
    want = logits(model, weights)
    torch.testing.assert_close(logits(wide, split), want, rtol=1e-3, atol=1e-3)
    matches, layers = matched(activations(model, texts()), activations(wide, texts()))
    back = brought(split, matches, layers)
    for name, x in weights.items():
        assert back[name].shape == x.shape
        assert np.linalg.norm(back[name] - x) < 0.1 * np.linalg.norm(x), name


def test_models_that_are_no_llamas_are_refused():
    with pytest.raises(RengaError, match="none of a llama's"):
        brought({"transformer.wte.weight": np.zeros((3, 3), np.float32)}, {}, np.arange(1))
    with pytest.raises(RengaError, match="isn't built like llama"):
        activations(torch.nn.Linear(2, 2), [])
    with pytest.raises(RengaError, match="places can't be compared"):
        correlations(np.zeros((3, 2)), np.zeros((4, 2)))
