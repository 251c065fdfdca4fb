import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.errors import UsageError
from renga.server.merging import blocks, device, selection
from renga.server.merging.blocks import Chained, Held
from renga.server.merging.device_kernels import OnDevice
from renga.server.merging.draws import Draws
from renga.server.merging.methods import METHODS, kernel, merged
from renga.server.merging.selection import order_statistics
from tests.server.merging import dense

SHAPE = (13, 17)


def stack(n, seed=0, shape=SHAPE, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((n, *shape)).astype(dtype)


def draws(n, seed=7, name="layer"):
    return Draws(seed, name, [f"model-{k}" for k in range(n)])


def by(method, d, w, random=None, **options):
    return merged(method, d, w, random=random or draws(len(d)), **options)


def words(d, random):
    return [random.words(k, 0, d[k].size) for k in range(len(d))]


REFERENCES = {
    "linear": lambda d, w, r: dense.mean(d, w),
    "task_arithmetic": lambda d, w, r: dense.mean(d, w),
    "magnitude": lambda d, w, r: dense.magnitude(d, w, 0.3),
    "ties": lambda d, w, r: dense.ties(d, w, 0.3),
    "breadcrumbs": lambda d, w, r: dense.breadcrumbs(d, w, 0.3, 0.05),
    "breadcrumbs_ties": lambda d, w, r: dense.elected(
        [dense.between(x, 0.3, 0.05) for x in dense.flat(d)], dense.of_sum_one(w)
    ),
    "dare": lambda d, w, r: dense.mean(dense.dare(d, 0.4, words(d, r)), w),
    "dare_ties": lambda d, w, r: dense.elected(dense.dare(d, 0.4, words(d, r)), dense.of_sum_one(w)),
    "della": lambda d, w, r: dense.elected(dense.della(d, 0.4, 0.2, words(d, r)), dense.of_sum_one(w)),
    "della_linear": lambda d, w, r: dense.mean(dense.della(d, 0.4, 0.2, words(d, r)), w),
    "pcb": lambda d, w, r: dense.pcb(d, w, 0.3),
    "consensus": lambda d, w, r: dense.consensus(d, w, 1.0, 2),
    "model_stock": lambda d, w, r: dense.model_stock(d, w),
}
OPTIONS = {
    "magnitude": {"density": 0.3},
    "ties": {"density": 0.3},
    "breadcrumbs": {"density": 0.3, "gamma": 0.05},
    "breadcrumbs_ties": {"density": 0.3, "gamma": 0.05},
    "dare": {"density": 0.4},
    "dare_ties": {"density": 0.4},
    "della": {"density": 0.4, "epsilon": 0.2},
    "della_linear": {"density": 0.4, "epsilon": 0.2},
    "pcb": {"density": 0.3},
}
# Options under which a method drops nothing: then the laws of weights are exact.
KEEPING = {name: {"density": 1.0} for name, method in METHODS.items() if "density" in method.defaults}


@pytest.mark.parametrize("method", sorted(REFERENCES))
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (3.0, 1.0, 2.0)])
def test_every_method_is_its_papers_formula(method, weights):
    d, random = stack(3), draws(3)
    got = by(method, d, weights, random, **OPTIONS.get(method, {}))
    want = REFERENCES[method](d, weights, random).reshape(SHAPE)
    assert got.dtype == np.float64
    # The probabilities of DELLA are float32 in the kernel.
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-6 if "della" in method else 1e-12)
    in_float32 = by(method, d.astype(np.float32), weights, random, **OPTIONS.get(method, {}))
    np.testing.assert_allclose(in_float32, want, rtol=1e-4, atol=1e-4)


def test_no_method_is_without_a_reference():
    assert set(METHODS) == {*REFERENCES, "slerp"}


def test_slerp_is_the_formula_and_the_circle():
    u, v = stack(2, seed=3)
    for share in (0.25, 0.5, 0.9):
        got = by("slerp", np.stack([u, v]), [1 - share, share])
        want = dense.slerp(u.reshape(-1), v.reshape(-1), share)
        np.testing.assert_allclose(got.reshape(-1), want, rtol=1e-12)
    v *= np.linalg.norm(u) / np.linalg.norm(v)
    assert np.linalg.norm(by("slerp", np.stack([u, v]), [1, 3])) == pytest.approx(np.linalg.norm(u))


@pytest.mark.parametrize("method", sorted(METHODS))
def test_one_input_comes_back_when_nothing_is_dropped(method):
    d = stack(1)
    np.testing.assert_allclose(by(method, d, [0.3], **KEEPING.get(method, {})), d[0], rtol=1e-12)


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("dropping", [False, True])
def test_copies_merge_into_what_one_of_them_gives(method, dropping):
    options = (OPTIONS if dropping else KEEPING).get(method, {})
    copies = 2 if METHODS[method].most == 2 else 4
    d = stack(1)
    alike = Draws(7, "layer", ["same"] * copies)
    one = by(method, d, [1.0], alike, **options)
    many = by(method, np.repeat(d, copies, axis=0), list(range(1, copies + 1)), alike, **options)
    np.testing.assert_allclose(many, one, rtol=1e-9, atol=1e-12)
    if not dropping:
        np.testing.assert_allclose(many, d[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_order_does_not_matter(method):
    n = 2 if METHODS[method].most == 2 else 4
    d, w, random, options = stack(n), [1.0, 3.0, 2.0, 0.5][:n], draws(n), OPTIONS.get(method, {})
    turned = list(reversed(range(n)))
    other = Draws(random.seed, random.name, [random.inputs[k] for k in turned])
    a = by(method, d, w, random, **options)
    b = by(method, d[turned], [w[k] for k in turned], other, **options)
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_scaling_scales(method):
    n = 2 if METHODS[method].most == 2 else 3
    d, w, options = stack(n), [1.0, 3.0, 2.0][:n], OPTIONS.get(method, {})
    once = by(method, d, w, **options)
    np.testing.assert_allclose(by(method, -3 * d, w, **options), -3 * once, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(by(method, d, w, scale=-3.0, **options), -3 * once, rtol=1e-12)
    np.testing.assert_allclose(by(method, d, [10 * x for x in w], **options), once, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"slerp"}))
def test_an_input_of_weight_zero_leaves_no_trace(method):
    d, options = stack(3), OPTIONS.get(method, {})
    without = Draws(7, "layer", ["model-0", "model-2"])
    a = by(method, d, [1.0, 0.0, 2.0], **options)
    assert np.array_equal(a, by(method, d[[0, 2]], [1.0, 2.0], without, **options))


def test_a_negative_weight_forgets():
    d = stack(2)
    forgotten = by("task_arithmetic", d, [1.0, -0.5], normalise=False)
    np.testing.assert_allclose(forgotten, d[0] - 0.5 * d[1], rtol=1e-12)


def test_an_even_vote_elects_nobody_or_as_mergekit_plus():
    d = np.array([[[1.0, 2.0]], [[-1.0, 3.0]]])
    assert by("ties", d, [1, 1], density=1.0).tolist() == [[0.0, 2.5]]
    assert by("ties", d, [1, 1], density=1.0, even="positive").tolist() == [[1.0, 2.5]]


def test_what_grows_by_its_probability_is_without_bias_and_by_its_norm_keeps_it():
    d = stack(1, shape=(40, 25))
    for method in ("dare", "della_linear"):
        options = OPTIONS[method]
        seeds = [by(method, d, [1], draws(1, seed), **options) for seed in range(400)]
        off = (np.mean(seeds, axis=0) - d[0]) / np.abs(d[0])
        assert abs(off.mean()) < 0.01
        assert off.std() < 0.15
        kept = by(method, d, [1], grow="norm", **options)
        assert np.abs(kept).sum() == pytest.approx(np.abs(d).sum())
        plain = by(method, d, [1], grow="none", **options)
        assert set(np.unique(plain / d[0])) <= {0.0, 1.0}


def test_draws_belong_to_the_element():
    random = draws(2)
    whole = random.words(0, 0, 1000)
    assert np.array_equal(random.words(0, 333, 500), whole[333:833])
    assert not np.array_equal(random.words(1, 0, 1000), whole)
    assert not np.array_equal(draws(2, name="other").words(0, 0, 1000), whole)
    assert not np.array_equal(draws(2, seed=8).words(0, 0, 1000), whole)
    assert abs(random.words(0, 0, 10**6).mean() / 2**32 - 0.5) < 0.002
    assert whole[:3].tolist() == [4232435429, 980248933, 900306085]  # on any machine, by any numpy


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("block", [64, 8192])
def test_the_size_of_blocks_changes_nothing(monkeypatch, method, block):
    n = 2 if METHODS[method].most == 2 else 3
    d, w, options = stack(n, shape=(50, 30), dtype=np.float32), [1.0, 2.0, 3.0][:n], OPTIONS.get(method, {})
    once = by(method, d, w, **options)
    monkeypatch.setattr(blocks, "BLOCK", block)
    again = by(method, d, w, **options)
    # slerp, Model Stock and PCB add up over blocks in float64: rounding of the last bit of one factor.
    exact = method not in ("slerp", "model_stock", "pcb")
    assert np.array_equal(once, again) if exact else np.allclose(once, again, rtol=1e-6)


def test_model_stock_by_rows_treats_each_row_as_a_tensor_of_its_own():
    d = stack(3, shape=(5, 40))
    got = by("model_stock", d, [1, 2, 3], filter_wise=True)
    for row in range(5):
        np.testing.assert_allclose(got[row], by("model_stock", d[:, row], [1, 2, 3]), rtol=1e-12)


def test_a_density_for_each_input():
    d = stack(2)
    got = by("magnitude", d, [1, 1], density=[1.0, 0.25])
    want = (d[0].reshape(-1) + dense.trimmed(d[1].reshape(-1), 0.25)) / 2
    np.testing.assert_allclose(got.reshape(-1), want, rtol=1e-12)


@given(
    st.integers(1, 3000),
    st.integers(0, 10),
    st.sampled_from(["normal", "few values", "zeros", "by rows", "heavy"]),
    st.data(),
)
@settings(max_examples=60, deadline=None)
def test_selection_is_the_sorted_array(size, seed, kind, data):
    """Whatever the sample promises, also where it misleads: ties, rows of unequal size, long tails."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, size)).astype(np.float32)
    if kind == "few values":
        x = np.round(x)
    elif kind == "zeros":
        x *= rng.random(x.shape) < 0.1
    elif kind == "by rows":
        x *= np.repeat([1e-3, 1e3], [size // 3, size - size // 3]).astype(np.float32)
    elif kind == "heavy":
        x = x**9
    ranks = [data.draw(st.lists(st.integers(0, size - 1), max_size=3)) for _ in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "_WHOLE", 100)
        patch.setattr(blocks, "BLOCK", 256)
        found = order_statistics(Chained([Held(x[:, : size // 2]), Held(x[:, size // 2 :])]), ranks)
    for row, mine, values in zip(np.abs(x), ranks, found, strict=True):
        assert [float(np.sort(row)[r]) for r in mine] == values


def test_a_sample_that_misleads_costs_a_pass_and_nothing_else(monkeypatch):
    x = np.arange(1.0, 100_001.0).reshape(1, -1)
    monkeypatch.setattr(selection, "_WHOLE", 100)
    monkeypatch.setattr(selection, "_scattered", lambda size: np.zeros(1000, np.int64))  # sees the least only
    assert order_statistics(Held(x), [[0, 70_000, 99_999]]) == [[1.0, 70_001.0, 100_000.0]]


@pytest.mark.parametrize(
    ("method", "weights", "options", "words"),
    [
        ("tie", [1, 1], {}, "unknown method 'tie'"),
        ("ties", [1], {}, "2 inputs but 1 weights"),
        ("ties", [0, 0], {}, "no input has a share"),
        ("ties", [1, -1], {}, "no input has a share"),
        ("ties", [1, float("nan")], {}, "not all finite"),
        ("ties", [1, 1], {"densty": 0.5}, "no option 'densty'"),
        ("ties", [1, 1], {"density": 0.0}, "no share"),
        ("ties", [1, 1], {"density": [0.5, 0.5, 0.5]}, "3 values for 2 inputs"),
        ("ties", [1, 1], {"density": "much"}, "must be a number"),
        ("ties", [1, 1], {"even": "minus"}, "can't be 'minus'"),
        ("della", [1, 1], {"density": 0.9, "epsilon": 0.2}, "leaves the probabilities"),
        ("model_stock", [1, 1], {"filter_wise": 1}, "true or false"),
    ],
)
def test_what_is_asked_wrongly_is_told(method, weights, options, words):
    with pytest.raises(UsageError, match=words):
        by(method, stack(2), weights, **options)


def test_slerp_takes_two():
    with pytest.raises(UsageError, match="at most 2"):
        by("slerp", stack(3), [1, 1, 1])


def test_nothing_merges_into_nothing():
    for method in set(METHODS) - {"slerp"}:
        assert by(method, np.zeros((2, 0, 4)), [1, 1]).shape == (0, 4)
        assert not by(method, np.zeros((2, 3, 4)), [1, 1], **OPTIONS.get(method, {})).any()


def test_kernels_are_frozen():
    from renga.server.merging.methods import kernel

    with pytest.raises(dataclasses.FrozenInstanceError):
        kernel("consensus", 2, {}).tasks = 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_device_gives_what_the_cpu_gives(method, dtype):
    """With torch's CPU as the device: the same elements are kept, sums differ by rounding."""
    on = OnDevice(kernel(method, 2, {}), torch.device("cpu"))
    plain = kernel(method, 2, {})
    d, share = stack(2, shape=(24, 32), dtype=dtype), np.array([0.3, 0.7])
    facts = plain.measure(Held(d), share, draws(2))
    flat = d.reshape(2, -1)
    here = plain.merge(flat.copy(), share, facts, 0, 32, draws(2))
    there = on.merge(flat.copy(), share, facts, 0, 32, draws(2))
    assert there.dtype == dtype
    assert np.array_equal(here == 0, there == 0)
    assert np.allclose(here, there, rtol=1e-6 if dtype == np.float32 else 1e-14, atol=1e-7)


def test_a_device_that_is_not_here(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.chosen("cpu") is None
    assert device.chosen("auto") is None
    with pytest.raises(UsageError, match="no CUDA device here"):
        device.chosen("cuda:1")
    with pytest.raises(UsageError, match="unknown device"):
        device.chosen("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device.chosen("cuda:0") == torch.device("cuda:0")
    with pytest.raises(UsageError, match="no CUDA device 1 here"):
        device.chosen("cuda:1")
