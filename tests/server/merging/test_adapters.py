"""Laws of every method of merging adapters, and each against a slow, dense reference from its paper."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from renga.errors import RengaError, UsageError
from renga.models.adapter import Adapter, Factors, distance, scaled_norm
from renga.server.merging import merge
from renga.server.merging.adapters import METHODS
from renga.server.merging.draws import Draws
from renga.server.merging.methods import METHODS as ELEMENTS
from renga.server.merging.parts import identity
from tests.server.merging import dense as references
from tests.server.merging.adapters_made import (
    SHAPES,
    apart,
    dense,
    made,
    regauged,
    unequal,
)

# What a method needs beyond adapters is tested where it is made.
FREE = sorted(name for name, method in METHODS.items() if not method.needs)
# Only these ask for equal ranks or a shared factor.
FACTORS = ("factor_mean", "shared_factor", "fedex")
ANY = [name for name in FREE if name not in FACTORS]


def inputs(method):
    if method == "slerp":
        return [made(1, 2, 16.0), made(2, 4, 4.0)], [3.0, 1.0]
    if method == "shared_factor":
        xs = [made(k) for k in (1, 2, 3)]
        return [
            Adapter({n: Factors(xs[0].factors[n].a, f.b) for n, f in x.factors.items()}, 6.0, 3, "base")
            for x in xs
        ], [3.0, 1.0, 2.0]
    if method in FACTORS:
        return [made(1), made(2), made(3)], [3.0, 1.0, 2.0]
    return unequal()


def bytes_of(x):
    return [(n, f.a.tobytes(), f.b.tobytes()) for n, f in sorted(x.factors.items())], x.rank, x.alpha


@pytest.mark.parametrize("method", FREE)
def test_one_input_comes_back(method):
    x = made(1, 3, 5.0)
    options = {"density": 1.0} if method == "magnitude" else {}
    assert distance(merge([x], method, [7.0], **options).adapter, x) < 1e-6
    others, _ = inputs(method)
    weights = [0.0] * len(others)
    weights[0] = 2.0
    assert distance(merge(others, method, weights, **options).adapter, others[0]) < 1e-6


@pytest.mark.parametrize("method", FREE)
def test_copies_give_the_input_back(method):
    x = made(1, 3, 5.0)
    options = {"density": 1.0} if method == "magnitude" else {}
    assert distance(merge([x] * 4, method, [1, 2, 3, 4], **options).adapter, x) < 1e-6


@pytest.mark.parametrize("method", FREE)
def test_a_copy_is_weight(method):
    """Two copies beside another count as one of twice the weight."""
    (x, y, *_), _ = inputs(method)
    one = merge([x, y], method, [2, 1]).adapter
    two = merge([x, y, x], method, [1, 1, 1]).adapter
    assert bytes_of(one) == bytes_of(two)


@pytest.mark.parametrize("method", [name for name in FREE if METHODS[name].sort])
def test_the_order_changes_no_byte(method):
    xs, weights = inputs(method)
    found = {
        repr(bytes_of(merge([xs[i] for i in order], method, [weights[i] for i in order]).adapter))
        for order in itertools.permutations(range(len(xs)))
    }
    assert len(found) == 1


@pytest.mark.parametrize("method", FREE)
def test_scaling_scales_and_weights_are_relative(method):
    xs, weights = inputs(method)
    one = merge(xs, method, weights).adapter
    twice = merge(xs, method, weights, scale=-2.0).adapter
    for name in SHAPES:
        assert np.allclose(dense(twice, name), -2 * dense(one, name), atol=1e-5 * scaled_norm(one))
    ten = merge(xs, method, [10 * w for w in weights]).adapter
    assert distance(ten, one) < 1e-6


# Draws belong to the values of an input: other factors, other draws.
@pytest.mark.parametrize("method", [name for name in ANY if not METHODS[name].drawn])
def test_how_an_update_is_split_in_two_changes_nothing(method):
    xs, weights = inputs(method)
    one = merge(xs, method, weights).adapter
    other = merge([regauged(x, k) for k, x in enumerate(xs)], method, weights).adapter
    assert distance(other, one) < 1e-4


@pytest.mark.parametrize("method", FREE)
def test_threads_change_no_byte(method):
    xs, weights = inputs(method)
    found = [merge(xs, method, weights, rank=3, alpha=6.0, threads=n).adapter for n in (1, 3)]
    assert bytes_of(found[0]) == bytes_of(found[1])


@pytest.mark.parametrize("method", FREE)
def test_the_error_of_a_rank_is_told(method):
    xs, weights = inputs(method)
    bounded = method in ("flexlora", "florist")
    whole = merge(xs, "average" if bounded else method, weights).adapter
    less = merge(xs, method, weights, rank=2, alpha=8.0)
    if method == "florist":  # a rank is its bound, not its aim
        less = merge(xs, method, weights, rank=2, alpha=8.0, energy=1.0)
    assert less.adapter.rank == 2
    assert less.adapter.scale == 4
    assert distance(less.adapter, whole) == pytest.approx(less.error, abs=1e-5)


# Slow references, in float64, from dense updates [inputs, modules ...] and shares.


def shares(weights):
    return np.array(weights) / np.sum(weights)


def mean_of(xs, weights):
    return {n: sum(w * dense(x, n) for w, x in zip(shares(weights), xs, strict=True)) for n in SHAPES}


def left_basis(xs, name):
    u, s, _ = np.linalg.svd(np.concatenate([dense(x, name) for x in xs], axis=1), full_matrices=False)
    return u[:, s > 1e-9 * s[0]]


def right_basis(xs, name):
    _, s, vt = np.linalg.svd(np.concatenate([dense(x, name) for x in xs]), full_matrices=False)
    return vt[s > 1e-9 * s[0]].T


def stacked_bases(xs, name):
    """Core Space's, of balanced factors."""
    bs, as_ = [], []
    for x in xs:
        u, s, vt = np.linalg.svd(dense(x, name), full_matrices=False)
        kept = s > 1e-9 * max(s[0], 1e-9)
        bs.append(u[:, kept] * np.sqrt(s[kept]))
        as_.append(np.sqrt(s[kept])[:, None] * vt[kept])
    u, s, _ = np.linalg.svd(np.hstack(bs), full_matrices=False)
    _, t, vt = np.linalg.svd(np.vstack(as_), full_matrices=False)
    return u[:, s > 1e-9 * s[0]], vt[t > 1e-9 * t[0]].T


def coordinates(space, xs, name):
    if space == "dense":
        return np.eye(SHAPES[name][0]), np.eye(SHAPES[name][1])
    if space == "knots":
        return left_basis(xs, name), np.eye(SHAPES[name][1])
    if space == "stacks":
        return stacked_bases(xs, name)
    return left_basis(xs, name), right_basis(xs, name)


def ties_by_hand(updates, weights, density):
    """TIES, section 4, element by element: updates [inputs, elements]."""
    trimmed = np.zeros_like(updates)
    for k, update in enumerate(updates):
        keep = np.sort(np.argsort(-np.abs(update), kind="stable")[: int(density * update.size)])
        trimmed[k, keep] = update[keep]
    result = np.zeros(updates.shape[1])
    for j in range(updates.shape[1]):
        sign = np.sign(sum(w * t for w, t in zip(weights, trimmed[:, j], strict=True)))
        right = [k for k in range(len(updates)) if trimmed[k, j] * sign > 0]
        if right:
            result[j] = sum(weights[k] * trimmed[k, j] for k in right) / sum(weights[k] for k in right)
    return result


def magnitude_by_hand(updates, weights, density):
    result = np.zeros(updates.shape[1])
    for w, update in zip(weights, updates, strict=True):
        limit = np.sort(np.abs(update))[::-1][int(density * update.size) - 1]
        result += w * np.where(np.abs(update) >= limit, update, 0)
    return result


def in_space(space, scope, xs, weights, by_hand, density):
    """Merge by hand in a space, module by module or all of a model's coordinates as one vector."""
    bases = {name: coordinates(space, xs, name) for name in SHAPES}
    flat = {
        name: np.stack([(u.T @ dense(x, name) @ v).reshape(-1) for x in xs]) for name, (u, v) in bases.items()
    }
    if scope == "module":
        found = {name: by_hand(flat[name], shares(weights), density) for name in SHAPES}
    else:
        whole = by_hand(np.concatenate(list(flat.values()), axis=1), shares(weights), density)
        ends = np.cumsum([f.shape[1] for f in flat.values()])
        found = dict(zip(SHAPES, np.split(whole, ends[:-1]), strict=True))
    return {name: u @ found[name].reshape(u.shape[1], v.shape[1]) @ v.T for name, (u, v) in bases.items()}


@pytest.mark.parametrize("scope", ["model", "module"])
@pytest.mark.parametrize("space", ["core", "knots", "stacks", "dense"])
def test_ties_in_every_space(space, scope):
    xs, weights = unequal()
    expected = in_space(space, scope, xs, weights, ties_by_hand, 0.3)
    merged = merge(xs, "ties", weights, density=0.3, space=space, scope=scope).adapter
    assert apart(merged, expected) < 1e-5


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-9, 0.0])
def test_bases_are_orthonormal_however_near_to_dependent_the_columns_are(spread):
    from renga.server.merging.coordinates import _orthonormal

    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 1)) + spread * rng.standard_normal((60, 20))
    x *= 10.0 ** rng.uniform(-6, 6, 20)
    q, r = _orthonormal(x)
    assert np.abs(q.T @ q - np.eye(20)).max() < 2e-13
    assert (np.linalg.norm(q @ r - x, axis=0) < 1e-12 * np.linalg.norm(x, axis=0)).all()


def test_knots_and_core_space_are_ties_in_their_spaces():
    xs, weights = unequal()
    for method, space in (("knots", "knots"), ("core_space", "stacks")):
        expected = in_space(space, "model", xs, weights, ties_by_hand, 0.4)
        assert apart(merge(xs, method, weights, density=0.4).adapter, expected) < 1e-5


def test_magnitude_pruning():
    xs, weights = unequal()
    for space in ("core", "dense"):
        expected = in_space(space, "model", xs, weights, magnitude_by_hand, 0.25)
        merged = merge(xs, "magnitude", weights, density=0.25, space=space).adapter
        assert apart(merged, expected) < 1e-5


# The other methods on elements: d are the updates in some coordinates [inputs][rows, columns], w the weights,
# u what `Draws` gives for each.
ON_ELEMENTS = {
    "dare": lambda d, w, u: references.mean(references.dare(d, 0.4, u), w),
    "dare_ties": lambda d, w, u: references.elected(references.dare(d, 0.4, u), shares(w)),
    "della": lambda d, w, u: references.elected(references.della(d, 0.4, 0.2, u), shares(w)),
    "della_linear": lambda d, w, u: references.mean(references.della(d, 0.4, 0.2, u), w),
    "breadcrumbs": lambda d, w, u: references.breadcrumbs(d, w, 0.3, 0.05),
    "breadcrumbs_ties": lambda d, w, u: references.elected(
        [references.between(x, 0.3, 0.05) for x in references.flat(d)], shares(w)
    ),
    "pcb": lambda d, w, u: references.pcb(d, w, 0.3),
    "consensus": lambda d, w, u: references.consensus(d, w, 1.0, 2),
    "model_stock": lambda d, w, u: references.model_stock(d, w),
}
ELEMENT_OPTIONS = {
    "dare": {"density": 0.4},
    "dare_ties": {"density": 0.4},
    "della": {"density": 0.4, "epsilon": 0.2},
    "della_linear": {"density": 0.4, "epsilon": 0.2},
    "breadcrumbs": {"density": 0.3, "gamma": 0.05},
    "breadcrumbs_ties": {"density": 0.3, "gamma": 0.05},
    "pcb": {"density": 0.3},
}


@pytest.mark.parametrize(
    ("method", "space"),
    [
        (method, space)
        for method in sorted(ON_ELEMENTS)
        for space in ("dense", "core", "knots")
        if space == "dense" or not METHODS[method].drawn
    ],
)
def test_methods_on_elements_are_their_papers_formulas(method, space):
    """Module by module, on ranks and alphas that differ. What is drawn belongs to places, and a space's basis
    is free up to signs and order, so that is compared on the dense updates."""
    xs, weights = [made(1, 2, 16.0), made(2, 4, 4.0), made(3, 3, 10.0)], [3.0, 1.0, 2.0]
    merged = merge(xs, method, weights, seed=5, space=space, **ELEMENT_OPTIONS.get(method, {})).adapter
    expected = {}
    for name in SHAPES:
        left, right = coordinates(space, xs, name)
        d = [left.T @ dense(x, name) @ right for x in xs]
        drawn = Draws(5, name, [identity(x) for x in xs])
        found = ON_ELEMENTS[method](d, weights, [drawn.words(k, 0, d[k].size) for k in range(len(d))])
        expected[name] = left @ found.reshape(d[0].shape) @ right.T
    assert apart(merged, expected) < 1e-5


def test_no_method_on_elements_is_without_a_reference():
    also = {"linear", "slerp", "task_arithmetic", "ties", "magnitude"}  # above, or in test_methods
    assert set(ON_ELEMENTS) | also == set(ELEMENTS)


@pytest.mark.parametrize("space", ["core", "knots", "stacks", "dense"])
@pytest.mark.parametrize("method", ["task_arithmetic", "ties", "magnitude"])
def test_coordinates_lose_nothing(method, space):
    """With nothing trimmed and no sign opposed, every space gives the mean."""
    xs, weights = unequal()
    options = {} if method == "task_arithmetic" else {"density": 1.0}
    if method == "ties":  # no conflict: multiples of one update
        xs = [made(1), Adapter(made(1).factors, 12.0, 3, "base")]
        weights = [1.0, 2.0]
    merged = merge(xs, method, weights, space=space, **options).adapter
    assert apart(merged, mean_of(xs, weights)) < 1e-6


@pytest.mark.parametrize("method", ["dare", "della_linear"])
def test_what_is_dropped_at_random_is_right_on_average(method):
    xs, weights = unequal()
    name, expected = "model.layers.1.self_attn.q_proj", mean_of(xs, weights)
    chosen: dict[str, Any] = {"density": 0.5, "only": [name], "threads": 1}
    draws = [dense(merge(xs, method, weights, seed=s, **chosen).adapter, name) for s in range(60)]
    gap = np.linalg.norm(sum(draws) / len(draws) - expected[name])
    spread = np.linalg.norm(draws[0] - expected[name])
    assert gap < 2.0 * spread / np.sqrt(len(draws))
    assert spread > 0.1 * np.linalg.norm(expected[name])
    again = merge(xs, method, weights, seed=3, density=0.5).adapter
    assert bytes_of(again) == bytes_of(merge(xs[::-1], method, weights[::-1], seed=3, density=0.5).adapter)


def test_model_stock_draws_the_mean_to_the_base():
    xs, weights = unequal()
    merged = merge(xs, "model_stock", weights).adapter
    share, mean, n = shares(weights), mean_of(xs, weights), len(xs)
    for name in tuple(SHAPES)[:2]:
        pairs = list(itertools.combinations(range(n), 2))
        cosines = [
            np.vdot(dense(xs[i], name), dense(xs[j], name))
            / np.linalg.norm(dense(xs[i], name))
            / np.linalg.norm(dense(xs[j], name))
            for i, j in pairs
        ]
        cosine = np.average(cosines, weights=[share[i] * share[j] for i, j in pairs])
        expected = n * cosine / (1 + (n - 1) * cosine) * mean[name]
        assert np.allclose(dense(merged, name), expected, atol=1e-4 * np.linalg.norm(mean[name]))


def polar(x):
    u, _, vt = np.linalg.svd(x, full_matrices=False)
    return u @ vt


def test_tsv():
    xs, weights = [made(1, 2, 16.0), made(2, 4, 4.0), made(3, 3, 10.0)], [3.0, 1.0, 2.0]
    expected = {}
    for name in SHAPES:
        us, ss, vs = [], [], []
        for x, w in zip(xs, shares(weights), strict=True):
            u, s, vt = np.linalg.svd(dense(x, name), full_matrices=False)
            k = min(x.rank, min(SHAPES[name]) // len(xs))
            us.append(u[:, :k])
            ss.append(w * s[:k])
            vs.append(vt[:k].T)
        expected[name] = polar(np.hstack(us)) @ np.diag(np.concatenate(ss)) @ polar(np.hstack(vs)).T
    assert apart(merge(xs, "tsv", weights).adapter, expected) < 1e-5


def test_iso_c():
    xs, weights = unequal()
    expected = {}
    for name, mean in mean_of(xs, weights).items():
        u, s, vt = np.linalg.svd(mean, full_matrices=False)
        rank = sum(x.rank for x in xs if name in x.factors)
        expected[name] = s[:rank].mean() * u[:, :rank] @ vt[:rank]
    assert apart(merge(xs, "iso_c", weights).adapter, expected) < 1e-5


def test_iso_cts():
    xs, weights = [made(1, 2, 16.0), made(2, 4, 4.0), made(3, 3, 10.0)], [3.0, 1.0, 2.0]
    expected = {}
    for name, mean in mean_of(xs, weights).items():
        u, s, vt = np.linalg.svd(mean, full_matrices=False)
        rank = 9
        each = (rank - round(0.6 * rank)) // 3
        kept = rank - 3 * each
        us, ss, vs = [u[:, :kept]], [s[:kept]], [vt[:kept].T]
        for x, w in zip(xs, shares(weights), strict=True):
            outside = dense(x, name) - u[:, :kept] @ u[:, :kept].T @ dense(x, name)
            tu, ts, tvt = np.linalg.svd(outside, full_matrices=False)
            us.append(tu[:, :each])
            ss.append(w * ts[:each])
            vs.append(tvt[:each].T)
        expected[name] = np.concatenate(ss).mean() * polar(np.hstack(us)) @ polar(np.hstack(vs)).T
    assert apart(merge(xs, "iso_cts", weights, common=0.6).adapter, expected) < 1e-5


def test_tsv_and_iso_leave_what_does_not_touch():
    """Tasks in orthogonal subspaces: TSV is the mean itself."""
    one, two = made(1, 2), made(2, 2)
    halves = []
    for x, side in ((one, slice(0, 12)), (two, slice(12, 40))):
        factors = {}
        for name, f in x.factors.items():
            a, b = np.zeros_like(f.a), np.zeros_like(f.b)
            a[:, side], b[side] = f.a[:, side], f.b[side]
            factors[name] = Factors(a, b)
        halves.append(Adapter(factors, 2.0, 2, "base"))
    assert apart(merge(halves, "tsv", [1, 3]).adapter, mean_of(halves, [1, 3])) < 1e-5


def test_fedex_is_exact_with_its_residual():
    xs, weights = inputs("fedex")
    merged = merge(xs, "fedex", weights)
    assert merged.residual is not None
    assert merged.adapter.rank == 3
    total = {n: dense(merged.adapter, n) + dense(merged.residual, n) for n in SHAPES}
    assert apart(merge(xs, "average", weights).adapter, total) < 1e-6
    share = shares(weights)
    for name in SHAPES:  # the residual is the covariance of the factors
        b = [2 * x.factors[name].b.astype(float) for x in xs]
        a = [x.factors[name].a.astype(float) for x in xs]
        mean_b, mean_a = (sum(w * p for w, p in zip(share, part, strict=True)) for part in (b, a))
        covariance = sum(w * (p - mean_b) @ (q - mean_a) for w, p, q in zip(share, b, a, strict=True))
        assert np.allclose(dense(merged.residual, name), covariance, atol=1e-4)


def test_adapters_with_a_shared_factor_keep_it():
    xs, weights = inputs("shared_factor")
    merged = merge(xs, "shared_factor", weights).adapter
    assert merged.rank == 3
    assert apart(merged, mean_of(xs, weights)) < 1e-6
    for name in SHAPES:
        assert np.array_equal(merged.factors[name].a, xs[0].factors[name].a)
    with pytest.raises(UsageError, match="share neither factor"):
        merge([made(1), made(2)], "shared_factor")
    # the exact average finds it by itself: nothing is lost at the inputs' own rank
    assert merge(xs, "average", weights, rank=3).error < 1e-7


def test_florist_keeps_the_energy_and_no_more():
    xs, weights = unequal()
    merged = merge(xs, "florist", weights, energy=0.9).adapter
    for name, mean in mean_of(xs, weights).items():
        s = np.linalg.svd(mean, compute_uv=False)
        kept = int(np.argmax(np.cumsum(s**2) >= 0.9 * (s**2).sum()) + 1)
        f = merged.factors[name]
        assert int((f.a.any(axis=1) & f.b.any(axis=0)).sum()) == kept
        assert np.linalg.norm(dense(merged, name) - mean) ** 2 <= 0.1001 * (s**2).sum()


def test_weights_by_the_size_of_the_change():
    xs, weights = unequal()
    sizes = np.array([scaled_norm(x) ** 2 for x in xs])
    expected = mean_of(xs, np.array(weights) * sizes)
    assert apart(merge(xs, "by_size", weights).adapter, expected) < 1e-6
    even = merge(xs, "by_size", power=-1.0).adapter
    assert apart(even, mean_of(xs, 1 / np.sqrt(sizes))) < 1e-6


def test_incremental_guards_what_was_there():
    xs, weights = [made(1, 2, 16.0), made(2, 4, 4.0), made(3, 3, 10.0)], [3.0, 1.0, 2.0]
    share = shares(weights)
    expected = {}
    for name in SHAPES:
        total = share[0] * dense(xs[0], name)
        for w, x in zip(share[1:], xs[1:], strict=True):
            u, s, vt = np.linalg.svd(total, full_matrices=False)
            kept = int(np.argmax(np.cumsum(s**2) >= 0.8 * (s**2).sum()) + 1)
            outside = np.eye(len(u)) - u[:, :kept] @ u[:, :kept].T
            total = total + w * outside @ dense(x, name) @ (np.eye(vt.shape[1]) - vt[:kept].T @ vt[:kept])
        expected[name] = total
    assert apart(merge(xs, "incremental", weights, guard=0.8).adapter, expected) < 1e-5
    assert apart(merge(xs, "incremental", weights, guard=0.0).adapter, mean_of(xs, weights)) < 1e-6
    # All of the first is guarded: it stands in the result as it was, and its directions see nothing else.
    merged = merge(xs[:2], "incremental", guard=1.0).adapter
    for name in SHAPES:
        u, _, vt = np.linalg.svd(dense(xs[0], name), full_matrices=False)
        inside = u[:, :2].T @ dense(merged, name) @ vt[:2].T
        assert np.allclose(inside, u[:, :2].T @ (0.5 * dense(xs[0], name)) @ vt[:2].T, atol=1e-4)


def test_forgetting_and_sums():
    xs, _ = unequal()
    merged = merge(xs, "task_arithmetic", [1.0, -0.5, 0.0], normalise=False).adapter
    expected = {n: dense(xs[0], n) - 0.5 * dense(xs[1], n) for n in SHAPES}
    assert apart(merged, expected) < 1e-6
    assert apart(merge([xs[0]], "task_arithmetic", [-1.0], normalise=False).adapter,
                 {n: -dense(xs[0], n) for n in SHAPES}) < 1e-6  # fmt: skip
    summed = merge(xs, "average", [1, 1, 1], scale=3.0).adapter
    assert apart(summed, {n: sum(dense(x, n) for x in xs) for n in SHAPES}) < 1e-6


def test_chosen_modules_and_gradients_over_the_depth():
    x, y = made(1), made(2)
    attention = merge([x, y], "average", only=["attention"]).adapter
    assert sorted(attention.factors) == [n for n in sorted(SHAPES) if "attn" in n]
    sloped = merge([x, y], "average", [[1.0, 0.0], [0.0, 1.0]]).adapter
    for name in SHAPES:
        of = x if ".0." in name else y
        assert np.allclose(dense(sloped, name), dense(of, name), atol=1e-4)
    ruled = merge([x, y], "average", [1, 1], rules={"down_proj$": [3, 1]}).adapter
    for name in SHAPES:
        share = 0.75 if "down" in name else 0.5
        mean = share * dense(x, name) + (1 - share) * dense(y, name)
        assert np.allclose(dense(ruled, name), mean, atol=1e-4)
    with pytest.raises(UsageError, match="no module is left"):
        merge([x, y], only=["nothing_like_this"])
    with pytest.raises(UsageError, match="can't be read"):
        merge([x, y], only=["("])
    with pytest.raises(UsageError, match="sum to 0"):
        merge([x, y], "ties", [1, 1], rules={"down_proj$": [0, 0]})


BROKEN = {
    "an unknown method": (lambda x: merge([x, x], "tiez"), "did you mean 'ties'"),
    "an unknown option": (lambda x: merge([x, x], "ties", densitty=0.3), "did you mean 'density'"),
    "an unknown space": (lambda x: merge([x, made(9)], "ties", space="knot"), "did you mean 'knots'"),
    "weights that don't match": (lambda x: merge([x, x], weights=[1, 2, 3]), "2 adapters but 3 weights"),
    "weights that sum to nothing": (lambda x: merge([x, made(9)], weights=[1, -1]), "sum to 0"),
    "no weight at all": (lambda x: merge([x, made(9)], weights=[0, 0]), "sum to 0"),
    "a weight that is no number": (lambda x: merge([x, made(9)], weights=[1, float("nan")]), "not finite"),
    "nothing": (lambda x: merge([]), "nothing to merge"),
    "another base": (lambda x: merge([x, made(9, base="other")]), "2 bases"),
    "a rank of zero": (lambda x: merge([x, made(9)], rank=0), "rank 0"),
    "a density of zero": (lambda x: merge([x, made(9)], "ties", density=0.0), "density 0"),
    "a scale that is no number": (lambda x: merge([x, x], scale=float("nan")), "scale is nan"),
    "a rank above the matrix": (lambda x: merge([x, made(9, 25)]), "rank 25"),
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_what_does_not_fit_is_refused_in_a_line(case):
    run, says = BROKEN[case]
    with pytest.raises(RengaError) as error:
        run(made(1))
    assert says in f"{error.value.message} {error.value.hint}"
    assert "\n" not in error.value.message


def test_values_that_are_not_finite_are_refused_by_name():
    x = made(1, who="clinic")
    x.factors["model.layers.0.mlp.up_proj"].b[3, 1] = np.nan
    with pytest.raises(RengaError, match=r"clinic: model.layers.0.mlp.up_proj.lora_B"):
        merge([x, made(2)])
    wide = made(3)
    factors = dict(wide.factors)
    factors["model.layers.0.mlp.up_proj"] = Factors(
        np.ones((3, 25), np.float32), np.ones((40, 3), np.float32)
    )
    with pytest.raises(RengaError, match="up_proj has the shapes"):
        merge([made(2), Adapter(factors, 6.0, 3, "base")])
