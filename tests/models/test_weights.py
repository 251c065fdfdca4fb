"""Shared weights: batches say what single texts say, adapters come on and off without a trace."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.errors import RengaError, UsageError
from renga.models.adapter import Adapter, Factors
from renga.models.weights import chosen
from tests.models.tiny_models import llama
from tests.models.tiny_weights import plain_rows, random_adapter, some_ids, tiny

KINDS = ["llama", "gemma3", "gemma2", "granite", "lfm2", "gpt2 in float64", "starcoder2 in float64"]
ANY = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def weights():
    return {kind: tiny(kind) for kind in KINDS}


def plain_logits(weights, sequence):
    with torch.inference_mode():
        logits = weights.model(input_ids=torch.tensor([list(sequence)]), use_cache=False).logits[0]
    return logits[:, : weights.vocabulary.size]


def assert_batched_as_single(weights, sequences, keep):
    with torch.inference_mode():
        ours = weights.logits(sequences, keep)
    theirs = torch.cat([plain_logits(weights, s)[-k:] for s, k in zip(sequences, keep, strict=True)])
    assert ours.shape == theirs.shape
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-9 if ours.dtype == torch.float64 else 2e-4)


@ANY
@settings(max_examples=15, deadline=None)
@given(
    begin=st.sampled_from([0, 1, 5, 12]),
    rest=st.lists(st.tuples(st.integers(1, 25), st.integers(1, 25)), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_a_batch_of_unequal_lengths_says_what_each_says_alone(weights, kind, begin, rest, seed):
    w = weights[kind]
    prefix = some_ids(w, begin, seed)
    sequences = [prefix + some_ids(w, n, seed + 1 + i) for i, (n, _) in enumerate(rest)]
    assert_batched_as_single(w, sequences, [min(k, n) for n, k in rest])


@ANY
def test_states_at_the_ends_are_those_the_logits_are_made_of(weights, kind):
    w = weights[kind]
    text = some_ids(w, 30)
    sequences = [text[:12] + some_ids(w, n, n) for n in (3, 9, 1)]
    with torch.inference_mode():
        ours = w.states(sequences)
        theirs = [
            w.model(input_ids=torch.tensor([s]), use_cache=False, output_hidden_states=True).hidden_states[
                -1
            ][0, -1]
            for s in sequences
        ]
    assert torch.allclose(
        ours, torch.stack(theirs), rtol=0, atol=1e-9 if ours.dtype == torch.float64 else 2e-4
    )


@ANY
def test_what_all_begin_with_may_be_wanted_too_or_be_a_whole_text(weights, kind):
    w = weights[kind]
    text = some_ids(w, 30)
    assert_batched_as_single(w, [text[:n] for n in (30, 11, 20)], [25, 11, 1])
    assert_batched_as_single(w, [text, text], [3, 7])
    assert_batched_as_single(w, [text[:9], text], [1, 1])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "gpt2" not in kind])  # no linear layers
def test_gradients_flow_through_what_all_begin_with(kind):
    w = tiny(kind)
    adapter = random_adapter(w)
    begin = some_ids(w, 10)
    sequences = [begin + some_ids(w, n, seed=n) for n in (3, 17, 8)]
    keep = [2, 9, 8]

    def gradients(read):
        with w.learning(adapter) as parameters:
            read().square().mean().backward()
            return [p.grad for p in parameters if p.grad is not None]

    together = gradients(lambda: w.logits(sequences, keep))
    alone = gradients(lambda: torch.cat([w.logits([s], [k]) for s, k in zip(sequences, keep, strict=True)]))
    plain = gradients(
        lambda: torch.cat(
            [
                w.model(input_ids=torch.tensor([s]), use_cache=False).logits[0, -k:, : w.vocabulary.size]
                for s, k in zip(sequences, keep, strict=True)
            ]
        )
    )
    size = max(float(g.abs().max()) for g in plain)
    for x, y, z in zip(together, alone, plain, strict=True):
        assert torch.allclose(x, z, rtol=1e-3, atol=1e-4 * size)
        assert torch.allclose(y, z, rtol=1e-3, atol=1e-4 * size)


@ANY
def test_only_wanted_places_are_given_row_by_row(weights, kind):
    w = weights[kind]
    ids = torch.tensor([some_ids(w, 6, seed) for seed in (1, 2)])
    wanted = torch.tensor([[0, 1, 0, 0, 1, 1], [1, 0, 0, 0, 0, 0]]).bool()
    with torch.inference_mode():
        rows = w.logits_at(wanted, input_ids=ids, use_cache=False)
        theirs = w.model(input_ids=ids, use_cache=False).logits[wanted][:, : w.vocabulary.size]
    assert torch.allclose(rows, theirs, atol=1e-4)


def test_a_model_that_changes_its_logits_is_found_out(weights):
    assert {kind: weights[kind].head_is_plain for kind in KINDS} == {
        "llama": True,
        "gemma3": True,
        "gemma2": False,
        "granite": False,
        "lfm2": True,
        "gpt2 in float64": True,
        "starcoder2 in float64": True,
    }


def test_rows_of_a_capped_model_are_capped(weights):
    w = weights["gemma2"]
    with torch.inference_mode():
        rows = w.logits([some_ids(w, 9)], [9])
    assert float(rows.abs().max()) <= 3.0  # its cap


def test_what_is_read_is_counted_without_padding(weights):
    w = weights["llama"]
    passes, tokens = w.meter.passes, w.meter.tokens
    w.logits([[5, 6, 7], [8]], [1, 1])
    assert (w.meter.passes - passes, w.meter.tokens - tokens) == (1, 4)
    w.logits([[5, 6, 7, 8, 9, 10], [5, 6, 7, 8, 9, 11, 12]], [1, 1])  # five in common
    assert (w.meter.passes - passes, w.meter.tokens - tokens) == (2, 4 + 5 + 1 + 2)


def with_dense(model, adapter):
    """The model with dW added to its weights: what an adapter means."""
    modules = dict(model.named_modules())
    with torch.no_grad():
        for path, f in adapter.factors.items():
            modules[path].weight += torch.from_numpy(adapter.alpha / adapter.rank * f.b @ f.a)
    return model


def test_adapters_of_any_shape_in_turn_are_what_they_mean():
    w = tiny("llama")
    ids = some_ids(w, 12)
    base = plain_rows(w, ids)
    adapters = [
        random_adapter(w, seed, rank, modules)
        for seed, (rank, modules) in enumerate([(2, "all"), (5, "attention"), (5, "all"), (2, "all")])
    ]
    some = {path: adapters[0].factors[path] for path in list(adapters[0].factors)[3:5]}
    adapters.append(Adapter(some, 3.0, 2, w.fingerprint))
    adapters.append(Adapter(adapters[0].factors, 0.5, 2, w.fingerprint))  # another alpha
    oracles = []
    for adapter in adapters:
        model = with_dense(llama(max_position_embeddings=256), adapter)
        with torch.inference_mode():
            oracles.append(model(torch.tensor([ids])).logits[0, :, : w.vocabulary.size].log_softmax(-1))
        assert not torch.allclose(oracles[-1], base, atol=0.1)
    for at in (0, 1, 2, 3, 4, 5, 1, 0, 5, 2, 4, 3):
        w.wear(adapters[at])
        assert torch.allclose(plain_rows(w, ids), oracles[at], atol=2e-4)
        if at % 2:
            w.wear(None)
            assert torch.equal(plain_rows(w, ids), base)


def test_the_base_is_bare_after_learning_too():
    """Known wrong: taking whatever learning left in the slot for the base."""
    w = tiny("llama")
    ids = some_ids(w, 12)
    base, adapter = plain_rows(w, ids), random_adapter(w)
    with w.learning(adapter) as parameters, torch.no_grad():
        parameters[0].add_(1)
    w.wear(None)
    assert torch.equal(plain_rows(w, ids), base)
    w.wear(adapter)
    worn = plain_rows(w, ids)
    with w.learning(adapter) as parameters, torch.no_grad():
        parameters[0].add_(1)
    w.wear(adapter)
    assert torch.equal(plain_rows(w, ids), worn)


def test_what_is_worn_asks_for_no_gradient():
    w = tiny("llama")
    adapters = [random_adapter(w, 0), random_adapter(w, 1, 3, "attention")]
    for adapter in [*adapters, None, adapters[0]]:
        w.wear(adapter)
        assert not any(p.requires_grad for p in w.model.parameters())
    with w.learning(adapters[1]) as parameters:
        assert {id(p) for p in w.model.parameters() if p.requires_grad} == {id(p) for p in parameters}
    assert not any(p.requires_grad for p in w.model.parameters())
    assert all(p.grad is None for p in w.model.parameters())


def test_a_shape_first_worn_in_reading_can_learn():
    w = tiny("llama")
    with torch.inference_mode():
        w.wear(random_adapter(w))
    with w.learning(random_adapter(w, 1)) as parameters:
        w.logits([some_ids(w, 5)], [2]).sum().backward()
        assert all(p.grad is not None for p in parameters)


def test_what_is_taken_off_is_what_was_put_on():
    w = tiny("llama")
    adapter = random_adapter(w, rank=3, modules="attention")
    with w.learning(adapter):
        again = w.taken_off(adapter)
    assert (again.alpha, again.rank, again.base) == (adapter.alpha, 3, w.fingerprint)
    assert again.factors.keys() == adapter.factors.keys()
    for path, f in adapter.factors.items():
        assert np.array_equal(again.factors[path].a, f.a)
        assert np.array_equal(again.factors[path].b, f.b)
        assert not np.shares_memory(again.factors[path].a, f.a)


def test_factors_that_can_not_be_written_to_are_worn():
    w = tiny("llama")
    adapter = random_adapter(w)
    ids = some_ids(w, 5)
    w.wear(adapter)
    rows = plain_rows(w, ids)
    frozen = {path: Factors(f.a.copy(), f.b.copy()) for path, f in adapter.factors.items()}
    for f in frozen.values():
        f.a.flags.writeable = f.b.flags.writeable = False
    w.wear(Adapter(frozen, adapter.alpha, adapter.rank, adapter.base))  # a warning would fail this
    assert torch.equal(plain_rows(w, ids), rows)


def test_an_adapter_that_does_not_fit_is_refused_and_changes_nothing():
    w = tiny("llama")
    adapter = random_adapter(w)
    w.wear(adapter)
    ids = some_ids(w, 5)
    worn = plain_rows(w, ids)
    path, f = next(iter(adapter.factors.items()))
    wrong = {
        "another base": Adapter(adapter.factors, 4.0, 2, "0" * 64),
        "no such layer": Adapter({"model.layers.9.q_proj": f}, 4.0, 2, w.fingerprint),
        "another width": Adapter({path: Factors(f.a[:, 1:], f.b)}, 4.0, 2, w.fingerprint),
        "another rank": Adapter(adapter.factors, 4.0, 3, w.fingerprint),
        "a rank that would be broadcast": Adapter({path: Factors(f.a[:1], f.b)}, 4.0, 2, w.fingerprint),
    }
    for name, each in wrong.items():
        with pytest.raises(RengaError, match="another base" if name == "another base" else "does not fit"):
            w.wear(each)
        assert torch.equal(plain_rows(w, ids), worn)
        w.wear(adapter)
        assert torch.equal(plain_rows(w, ids), worn)


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
@pytest.mark.parametrize("modules", ["all", "attention", "upper"])
def test_a_fresh_adapter_changes_nothing_yet(weights, kind, modules):
    w = tiny(kind)
    ids = some_ids(w, 10)
    base = plain_rows(w, ids)
    fresh = w.fresh_adapter(4, 8.0, modules, seed=3)
    w.wear(fresh)
    assert torch.equal(plain_rows(w, ids), base)
    leaves = {path.rsplit(".", 1)[-1] for path in fresh.factors}
    others = {"gate_proj", "up_proj", "down_proj"} if modules != "attention" else set()
    assert leaves == {"q_proj", "k_proj", "v_proj", "o_proj"} | others
    assert (fresh.alpha, fresh.rank, fresh.base) == (8.0, 4, w.fingerprint)
    for path, f in fresh.factors.items():
        out, inside = w.linear_shapes[path]
        assert f.a.shape == (4, inside) and f.b.shape == (out, 4)
        assert f.a.dtype == f.b.dtype == np.float32
        assert 0.8 < float(np.abs(f.a).max()) * inside**0.5 <= 1.0


@settings(max_examples=30, deadline=None)
@given(blocks=st.integers(1, 24))
def test_upper_names_the_upper_half_of_the_blocks(blocks):
    leaves = ("self_attn.q_proj", "mlp.up_proj", "mlp.experts.0.up_proj")  # an expert's number is no block's
    shapes = {f"model.layers.{n}.{leaf}": (4, 8) for n in range(blocks) for leaf in leaves}
    upper = [f"model.layers.{n}.{leaf}" for n in range(blocks // 2, blocks) for leaf in leaves]
    # a layer outside of the blocks lies in neither half
    assert chosen(shapes | {"model.projector": (4, 8)}, "upper") == dict.fromkeys(upper, (4, 8))


def test_an_adapter_of_the_upper_half_lies_on_these_blocks_and_comes_off_again():
    w = tiny("gemma3")  # seven blocks
    adapter = random_adapter(w, modules="upper")
    assert {int(path.split(".")[2]) for path in adapter.factors} == {3, 4, 5, 6}
    assert len(adapter.factors) * 7 == len(w.linear_shapes) * 4
    ids = some_ids(w, 10)
    base = plain_rows(w, ids)
    w.wear(adapter)
    assert not torch.allclose(plain_rows(w, ids), base, atol=1e-2)
    w.wear(random_adapter(w, modules="all"))
    w.wear(None)
    assert torch.equal(plain_rows(w, ids), base)


def test_a_fresh_adapter_is_its_seeds_and_a_lower_rank_its_first_rows(weights):
    w = weights["llama"]
    one, same, other, low = (
        w.fresh_adapter(rank, 8.0, "all", seed) for rank, seed in ((4, 3), (4, 3), (4, 4), (2, 3))
    )
    drawn = set()
    for path, f in one.factors.items():
        assert np.array_equal(f.a, same.factors[path].a)
        assert not np.allclose(f.a, other.factors[path].a)
        assert np.array_equal(f.a[:2], low.factors[path].a)
        drawn.add(f.a.tobytes())
    assert len(drawn) == len(one.factors)  # no two layers alike


@pytest.mark.parametrize("rank", [-1, 0, 17])
def test_a_rank_that_fits_no_layer_is_refused(weights, rank):
    with pytest.raises(UsageError, match=f"rank {rank} does not fit") as caught:
        weights["llama"].fresh_adapter(rank, 8.0, "all", 0)  # the narrowest layer is 16 x 32
    assert caught.value.hint == "choose a rank between 1 and 16"


def test_a_model_without_linear_layers_is_refused(weights):
    with pytest.raises(UsageError, match="no linear layers"):
        weights["gpt2 in float64"].fresh_adapter(2, 4.0, "all", 0)


def test_layers_keep_their_names_when_adapters_are_worn():
    w, untouched = tiny("llama"), tiny("llama")
    w.wear(random_adapter(w))
    assert w.linear_shapes == untouched.linear_shapes
    assert "lm_head" not in w.linear_shapes
    untouched.wear(None)
    assert untouched.adapted_shapes("all") == w.adapted_shapes("all")
