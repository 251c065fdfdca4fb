import itertools
import json
import tracemalloc

import numpy as np
import peft
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from renga.errors import RengaError
from renga.models.adapter import Adapter, Factors, distance, scaled_norm
from renga.models.adapter_files import save_peft
from renga.server.merging.average import average, stack, truncate

SHAPES = {"q_proj": (24, 24), "down_proj": (24, 40), "up_proj": (40, 24)}


def adapter(seed, rank, alpha, modules=tuple(SHAPES), shapes=SHAPES):
    rng = np.random.default_rng(seed)
    factors = {
        m: Factors(
            rng.standard_normal((rank, shapes[m][1])).astype(np.float32),
            rng.standard_normal((shapes[m][0], rank)).astype(np.float32),
        )
        for m in modules
    }
    return Adapter(factors, alpha, rank, "base", {"who": f"client-{seed}", "round": "2"})


def unequal():
    """Four clients with different ranks, alphas and modules, and their weights."""
    adapters = [
        adapter(1, 2, 16.0),
        adapter(2, 4, 4.0),
        adapter(3, 3, 10.0, ("q_proj", "up_proj")),
        adapter(4, 1, 0.5, ("down_proj",)),
    ]
    return adapters, [3.0, 1.0, 2.0, 6.0]


def dense(x, name):
    if name not in x.factors:
        return np.zeros(SHAPES[name])
    f = x.factors[name]
    return x.alpha / x.rank * f.b.astype(np.float64) @ f.a.astype(np.float64)


def exact(adapters, weights, name):
    total = sum(weights)
    return sum(w / total * dense(x, name) for x, w in zip(adapters, weights, strict=True))


def best(matrix, rank):
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    return (u[:, :rank] * s[:rank]) @ vt[:rank], np.linalg.norm(s[rank:])


def off(of, adapters, weights):
    """How far an adapter's update is from the exact weighted average: the one measure of these tests."""
    parts = [np.linalg.norm(dense(of, n) - exact(adapters, weights, n)) for n in SHAPES]
    whole = [np.linalg.norm(exact(adapters, weights, n)) for n in SHAPES]
    return np.linalg.norm(parts) / np.linalg.norm(whole)


def bytes_of(x):
    return (
        [(n, f.a.tobytes(), f.b.tobytes()) for n, f in x.factors.items()],
        x.alpha,
        x.rank,
        dict(x.provenance),
    )


def test_the_stack_is_the_exact_average():
    adapters, weights = unequal()
    stacked = stack(adapters, weights)
    assert stacked.rank == 10
    assert stacked.scale == 1
    assert off(stacked, adapters, weights) < 1e-6


def test_a_rank_that_suffices_gives_the_exact_average():
    adapters, weights = unequal()
    merged = average(adapters, weights, 10, 5.0)
    assert off(merged.adapter, adapters, weights) < 1e-6
    assert merged.error < 1e-12


def times(numbers, matrices):
    return [number * matrix for number, matrix in zip(numbers, matrices, strict=True)]


# From weights w, factors b and a, scales s (lists over the clients) to a pair of merged factors.
MISTAKES = {
    "factors averaged": lambda w, b, a, s: (sum(times(w, b)), sum(times(w, times(s, a)))),
    "alpha / r left out": lambda w, b, a, s: (np.hstack(b), np.vstack(times(w, a))),
    "weights on both sides": lambda w, b, a, s: (np.hstack(times(w, b)), np.vstack(times(w, times(s, a)))),
    "alpha / r on both sides": lambda w, b, a, s: (np.hstack(times(s, b)), np.vstack(times(w, times(s, a)))),
}


def merged_by(recipe, adapters, shares):
    factors = {}
    for n in SHAPES:
        bs, as_ = [x.factors[n].b for x in adapters], [x.factors[n].a for x in adapters]
        b, a = recipe(shares, bs, as_, [x.scale for x in adapters])
        factors[n] = Factors(a.astype(np.float32), b.astype(np.float32))
    rank = factors["q_proj"].a.shape[0]
    return Adapter(factors, float(rank), rank, "base")


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_the_known_mistakes_fail_the_assertion_that_the_average_passes(mistake):
    adapters, weights = [adapter(k, 4, 2.0 * k) for k in (1, 2, 3)], [1.0, 2.0, 1.0]
    shares = [w / 4 for w in weights]
    right = merged_by(lambda w, b, a, s: (np.hstack(b), np.vstack(times(w, times(s, a)))), adapters, shares)
    for good in (right, stack(adapters, weights), average(adapters, weights, 12, 24.0).adapter):
        assert off(good, adapters, weights) < 1e-6
    assert off(merged_by(MISTAKES[mistake], adapters, shares), adapters, weights) > 0.1


clients_of_any_kind = st.lists(
    st.tuples(st.integers(0, 99), st.integers(1, 14), st.floats(0.1, 64), st.floats(0.01, 9)),
    min_size=1,
    max_size=5,
)


@given(clients_of_any_kind, st.integers(1, 30), st.floats(0.5, 64))
@settings(max_examples=40, deadline=None)
def test_any_rank_is_the_truncated_svd_and_its_error_is_told(clients, rank, alpha):
    """Stacks below, between and above both sides of a module (24 by 40) take different paths."""
    adapters, weights = [adapter(s, r, al) for s, r, al, _ in clients], [w for *_, w in clients]
    merged = average(adapters, weights, rank, alpha)
    assert merged.adapter.rank == rank
    assert merged.adapter.alpha == alpha
    all_lost, all_whole = [], []
    for name in SHAPES:
        whole = exact(adapters, weights, name)
        nearest, lost = best(whole, rank)
        size = np.linalg.norm(whole)
        assert np.linalg.norm(dense(merged.adapter, name) - nearest) < 1e-5 * size
        assert merged.errors[name] == pytest.approx(lost / size, abs=1e-9)
        all_lost.append(lost)
        all_whole.append(size)
        f = merged.adapter.factors[name]
        assert f.a.dtype == f.b.dtype == np.float32
        assert f.a.shape == (rank, SHAPES[name][1])
        assert f.b.shape == (SHAPES[name][0], rank)
    assert merged.error == pytest.approx(np.linalg.norm(all_lost) / np.linalg.norm(all_whole), abs=1e-9)


def test_factors_are_balanced_and_their_signs_are_ours():
    adapters, weights = unequal()
    f = average(adapters, weights, 4, 16.0).adapter.factors["q_proj"]
    assert np.allclose(np.linalg.norm(f.a, axis=1), np.linalg.norm(f.b, axis=0), rtol=1e-5)
    assert (f.b[np.abs(f.b).argmax(0), np.arange(4)] > 0).all()


def test_the_order_of_the_adapters_changes_no_byte():
    adapters, weights = unequal()
    # Two that only their values tell apart, and a pair of twins with different weights.
    same_name = [Adapter(x.factors, x.alpha, x.rank, x.base, {"who": "same"}) for x in adapters[:2]]
    pool = list(zip([*adapters[2:], *same_name, same_name[0]], [*weights[2:], 1.0, 1.0, 0.3], strict=True))
    results: dict[str, set[str]] = {"stack": set(), "average": set()}
    for order in itertools.permutations(pool):
        given_adapters, given_weights = zip(*order, strict=True)
        results["stack"].add(repr(bytes_of(stack(given_adapters, given_weights))))
        results["average"].add(repr(bytes_of(average(given_adapters, given_weights, 3, 6.0).adapter)))
    assert len(results["stack"]) == 1
    assert len(results["average"]) == 1


def test_modules_in_another_order_change_no_byte():
    x, y = adapter(1, 2, 4.0), adapter(2, 3, 4.0)
    turned = Adapter(dict(reversed(x.factors.items())), x.alpha, x.rank, x.base, x.provenance)
    assert bytes_of(average([x, y], [1, 1], 3, 3.0).adapter) == bytes_of(
        average([turned, y], [1, 1], 3, 3.0).adapter
    )


def test_laws_of_a_mean():
    x, y = adapter(1, 2, 16.0), adapter(2, 4, 4.0)
    assert distance(average([x], [7.0], 2, 3.0).adapter, x) < 1e-6, "one adapter is its own mean"
    assert distance(average([x] * 5, [1] * 5, 2, 3.0).adapter, x) < 1e-6, "so are copies of it"
    one, ten = (average([x, y], [2 * f, 3 * f], 6, 6.0).adapter for f in (1, 10))
    assert distance(one, ten) < 1e-6, "weights are relative"
    without = average([x, y], [1, 0], 2, 2.0).adapter
    assert distance(without, x) < 1e-6, "weight zero is absence"
    assert without.provenance["who"] == "client-1"
    opposite = Adapter({n: Factors(f.a, -f.b) for n, f in x.factors.items()}, x.alpha, x.rank, x.base)
    nothing = average([x, opposite], [1, 1], 4, 4.0)
    assert scaled_norm(nothing.adapter) < 1e-5 * scaled_norm(x)


def test_directions_that_nobody_trained_can_still_be_trained():
    x = adapter(1, 2, 4.0)
    grown = average([x, x], [1, 1], 5, 5.0).adapter
    for f in grown.factors.values():
        assert not f.b[:, 2:].any(), "they add nothing"
        assert (np.linalg.norm(f.a[2:], axis=1) > 0).all(), "but gradients reach them"
    assert distance(grown, x) < 1e-6
    zero = Adapter({n: Factors(f.a, 0 * f.b) for n, f in x.factors.items()}, x.alpha, x.rank, x.base)
    merged = average([zero], [1], 3, 3.0)
    assert merged.error == 0
    assert scaled_norm(merged.adapter) == 0
    assert all(np.linalg.norm(f.a, axis=1).all() for f in merged.adapter.factors.values())


def test_truncate_serves_a_client_of_another_rank():
    x = adapter(1, 6, 12.0)
    less = truncate(x, 2, 32.0)
    assert less.adapter.scale == 16
    for name in SHAPES:
        nearest, lost = best(dense(x, name), 2)
        assert np.allclose(dense(less.adapter, name), nearest, atol=1e-4)
        assert less.errors[name] == pytest.approx(lost / np.linalg.norm(dense(x, name)), rel=1e-6)
    assert dict(less.adapter.provenance) == dict(x.provenance)
    assert distance(less.adapter, x) == pytest.approx(less.error, rel=1e-4)
    assert distance(truncate(x, 9, 1.0).adapter, x) < 1e-6
    adapters, weights = unequal()
    both = truncate(stack(adapters, weights), 3, 6.0).adapter
    assert distance(both, average(adapters, weights, 3, 6.0).adapter) < 1e-5


def test_provenance_says_who_took_part():
    adapters, weights = unequal()
    merged = average(adapters, weights, 3, 3.0).adapter
    assert merged.base == "base"
    assert dict(merged.provenance) == {
        "method": "average", "round": "2", "who": "client-1, client-2, client-3, client-4",
    }  # fmt: skip


def test_what_cannot_be_averaged_is_refused():
    x = adapter(1, 2, 4.0)
    other = Adapter(x.factors, 4.0, 2, "other base")
    with pytest.raises(RengaError, match="2 bases"):
        average([x, other], [1, 1], 2, 2.0)
    wide = adapter(2, 2, 4.0, shapes={**SHAPES, "q_proj": (24, 25)})
    for merge in (stack, lambda a, w: average(a, w, 2, 2.0)):
        with pytest.raises(RengaError, match="q_proj"):
            merge([x, wide], [1, 1])
    for weights in ([0, 0], [1, -1], [1, float("nan")], [float("inf"), 1]):
        with pytest.raises(RengaError, match="weights"):
            stack([x, x], weights)
    with pytest.raises(RengaError, match="weights"):
        stack([], [])
    for rank, alpha in ((0, 1.0), (2, 0.0), (2, float("nan"))):
        with pytest.raises(RengaError, match="can't have rank"):
            truncate(x, rank, alpha)
    with pytest.raises(ValueError, match="2 weights"):
        stack([x], [1, 1])


def test_no_dense_update_is_made():
    """A module whose dense update would take 3.2 GB merges in little memory."""
    adapters = [adapter(k, 2, 2.0, ("wide",), {"wide": (20_000, 20_000)}) for k in range(3)]
    tracemalloc.start()
    merged = average(adapters, [1, 2, 3], 4, 4.0)
    distance(merged.adapter, stack(adapters, [1, 2, 3]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6
    assert 0 < merged.error < 1


def test_peft_merges_to_the_same_update(tmp_path):
    """PEFT's "cat" is exact, and its result here is a model's logits: names, scales and files all count."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    modules = {f"model.layers.{i}.mlp.up_proj": (48, 32) for i in range(2)}
    modules |= {f"model.layers.{i}.self_attn.q_proj": (32, 32) for i in range(2)}
    adapters = []
    for seed, (rank, alpha) in enumerate([(2, 8.0), (4, 2.0), (3, 3.0)]):
        x = adapter(seed, rank, alpha, tuple(modules), modules)
        adapters.append(
            Adapter({n: Factors(f.a * 0.2, f.b * 0.2) for n, f in x.factors.items()}, alpha, rank, "base")
        )
    weights = [0.5, 0.3, 0.2]
    for k, x in enumerate(adapters):
        save_peft(x, tmp_path / str(k), "base")
    save_peft(average(adapters, weights, 9, 4.5).adapter, tmp_path / "ours", "base")
    # PEFT asks for equal target modules written alike.
    assert (
        len(
            {
                str(json.loads((tmp_path / str(k) / "adapter_config.json").read_text())["target_modules"])
                for k in range(3)
            }
        )
        == 1
    )
    wrapped = peft.PeftModel.from_pretrained(model, tmp_path / "0", adapter_name="0")
    for name in ("1", "2", "ours"):
        wrapped.load_adapter(tmp_path / name, adapter_name=name)
    wrapped.add_weighted_adapter(["0", "1", "2"], weights, "theirs", combination_type="cat")
    ids = torch.arange(20).reshape(2, 10)
    logits = {}
    with torch.no_grad():
        for name in ("0", "ours", "theirs"):
            wrapped.set_adapter(name)
            logits[name] = wrapped(ids).logits
    assert (logits["0"] - logits["theirs"]).abs().max() > 1e-2
    assert (logits["ours"] - logits["theirs"]).abs().max() < 1e-5
