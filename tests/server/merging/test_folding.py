"""Averages that are not made of all adapters at once: folded in one by one, or summed as sketches."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from renga.errors import RengaError
from renga.models.adapter import Adapter, Factors, distance
from renga.server.merging import merge
from renga.server.merging.folding import Fold
from renga.server.merging.grams import leading_by_grams
from renga.server.merging.rangefinder import leading, worthwhile
from renga.server.merging.sketches import added, recovered, sketched
from tests.server.merging.adapters_made import SHAPES, all_dense, apart, dense, made, unequal


def test_folding_in_is_the_average_where_there_is_room():
    xs, weights = unequal()
    fold = Fold(room=9)
    for x, w in zip(xs, weights, strict=True):
        fold.add(x, w)
    assert fold.bound == 0
    assert distance(fold.result().adapter, merge(xs, "average", weights).adapter) < 1e-6


def test_where_room_is_short_the_bound_holds():
    xs = [made(k, 2) for k in range(8)]
    fold = Fold(room=6)
    for number, x in enumerate(xs, 1):
        fold.add(x, number)
        exact = merge(xs[:number], "average", range(1, number + 1)).adapter
        found = fold.result()
        size = apart(found.adapter, all_dense(exact)) * _norm(exact) / _norm(found.adapter)
        assert size <= found.error + 1e-6
    assert 0.01 < fold.bound < 10
    assert found.adapter.rank == 6


def _norm(x):
    return np.linalg.norm([np.linalg.norm(dense(x, name)) for name in SHAPES])


def test_folding_takes_the_memory_of_what_is_kept():
    """However many come, what is held is the room of eight directions."""
    shapes = {f"m.{k}": (400, 400) for k in range(10)}
    rng = np.random.default_rng(0)
    fold = Fold(room=8, threads=1)
    tracemalloc.start()
    for _ in range(12):
        factors = {
            n: Factors(
                rng.standard_normal((4, i)).astype(np.float32), rng.standard_normal((o, 4)).astype(np.float32)
            )
            for n, (o, i) in shapes.items()
        }
        fold.add(Adapter(factors, 4.0, 4, "base"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kept = sum((o + i) * 8 * 8 for o, i in shapes.values())
    assert peak < 4 * kept  # what is kept, once more until all of an adapter is in, and the adapter itself


def test_what_does_not_fit_is_refused_and_changes_nothing():
    fold = Fold(room=4)
    fold.add(made(1))
    before = fold.result().adapter
    other = Factors(np.ones((3, 9), np.float32), np.ones((40, 3), np.float32))
    factors = {**made(2).factors, "model.layers.0.mlp.up_proj": other}
    for bad, weight in (
        (made(2, base="other"), 1.0),
        (Adapter(factors, 3.0, 3, "base"), 1.0),
        (made(2), 0.0),
        (made(2), float("nan")),
    ):
        with pytest.raises(RengaError):
            fold.add(bad, weight)
    assert fold.seen == 1
    assert distance(fold.result().adapter, before) < 1e-12


def test_a_sketch_of_a_sum_is_the_sum_of_sketches():
    xs, weights = unequal()
    share = [w / sum(weights) for w in weights]
    summed = added([sketched(x, 9, seed=5) for x in xs], share)
    exact = merge(xs, "average", weights).adapter
    once = sketched(exact, 9, seed=5)
    for name in SHAPES:
        for mine, theirs in zip(summed.modules[name], once.modules[name], strict=True):
            assert np.allclose(mine, theirs, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("width", [9, 14])
def test_a_sketch_as_wide_as_the_ranks_gives_the_update_to_machine_precision(width):
    xs, weights = unequal()
    share = [w / sum(weights) for w in weights]
    summed = added([sketched(x, width, seed=1) for x in xs], share)
    expected = {n: sum(w * dense(x, n) for w, x in zip(share, xs, strict=True)) for n in SHAPES}
    # Before anything is rounded to float32:
    for name, (y, z) in summed.modules.items():
        from renga.server.merging.sketches import _matrices

        _, p = _matrices(name, y.shape[0], z.shape[1], width, 1)
        rank = np.linalg.matrix_rank(expected[name])
        u, s, vt = np.linalg.svd(p @ y)
        inverse = vt[:rank].T @ np.diag(1 / s[:rank]) @ u[:, :rank].T
        found = y @ inverse @ z
        assert np.linalg.norm(found - expected[name]) < 1e-11 * np.linalg.norm(expected[name])
    assert apart(recovered(summed).adapter, expected) < 1e-6


def test_a_narrow_sketch_is_near_the_best_of_its_rank():
    rng = np.random.default_rng(0)
    factors = {}
    for name, (out, into) in SHAPES.items():
        s = 2.0 ** -np.arange(12)
        u, _ = np.linalg.qr(rng.standard_normal((out, 12)))
        v, _ = np.linalg.qr(rng.standard_normal((into, 12)))
        factors[name] = Factors((v * s).T.astype(np.float32), u.astype(np.float32))
    x = Adapter(factors, 12.0, 12, "base")
    errors = [apart(recovered(sketched(x, w, seed=0)).adapter, all_dense(x)) for w in (2, 4, 8, 12)]
    assert errors == sorted(errors, reverse=True)
    assert errors[1] < 10 * 2.0**-4
    assert errors[-1] < 1e-6
    with pytest.raises(RengaError, match="width or seed"):
        sketched(x, 3, seed=0) + sketched(x, 3, seed=1)


def test_the_method_is_the_sum_of_sketches():
    xs, weights = unequal()
    share = [w / sum(weights) for w in weights]
    wide = merge(xs, "sketch", weights)
    assert distance(wide.adapter, merge(xs, "average", weights).adapter) < 1e-6
    narrow = merge(xs, "sketch", weights, width=4, seed=3).adapter
    summed = recovered(added([sketched(x, 4, seed=3) for x in xs], share)).adapter
    assert narrow.rank == 4
    assert distance(narrow, summed) < 1e-6
    with pytest.raises(RengaError, match="can't be 0 wide"):
        merge(xs, "sketch", weights, width=0)


@pytest.mark.parametrize("common", [0.0, 1.0])
def test_the_range_finder_is_as_good_as_the_best(common):
    """Wide stacks, with and without a gap in the spectrum: within 1e-4 of the optimum, its error told."""
    rng = np.random.default_rng(0)
    base_b, base_a = rng.standard_normal((96, 8)), rng.standard_normal((8, 120))
    b = np.hstack([common * base_b + rng.standard_normal((96, 8)) for _ in range(12)])
    a = np.vstack([common * base_a + rng.standard_normal((8, 120)) for _ in range(12)])
    assert worthwhile((96, 120), 96, 8)
    found = leading("m", b, a, 8)
    assert found is not None
    u, s, vt, left_out, whole = found
    exact = np.linalg.svd(b @ a, compute_uv=False)
    best = np.linalg.norm(exact[8:])
    assert np.linalg.norm(b @ a - (u * s) @ vt) < best * (1 + 1e-4)
    assert left_out == pytest.approx(best, rel=0.2)
    assert whole == pytest.approx(np.linalg.norm(exact), rel=0.5)


def test_the_range_finder_leaves_what_float32_can_not_tell():
    rng = np.random.default_rng(0)
    b, a = rng.standard_normal((96, 4)) @ rng.standard_normal((4, 96)), rng.standard_normal((96, 120))
    assert leading("m", b, a, 8) is None


@pytest.mark.parametrize("falls", [0.0, 0.3])
def test_gram_matrices_give_the_best_of_a_rank(falls):
    """Flat and steep spectra, dependent columns: the optimum, and exactly what it leaves out."""
    rng = np.random.default_rng(1)
    b = rng.standard_normal((90, 40)) * np.exp(-falls * np.arange(40))
    b = np.hstack([b, b[:, :4]])
    a = rng.standard_normal((44, 70))
    found = leading_by_grams(b, a, 6)
    assert found is not None
    u, s, vt, left_out, whole = found
    exact = np.linalg.svd(b @ a, compute_uv=False)
    best = np.linalg.norm(exact[6:])
    assert np.linalg.norm(b @ a - (u * s) @ vt) < best * (1 + 1e-6)
    assert left_out == pytest.approx(best, rel=1e-6)
    assert whole == pytest.approx(np.linalg.norm(exact), rel=1e-9)
    np.testing.assert_allclose(u.T @ u, np.eye(6), atol=1e-7)


def test_gram_matrices_leave_what_squares_can_not_tell():
    rng = np.random.default_rng(2)
    low = rng.standard_normal((90, 4)) @ rng.standard_normal((4, 40))
    assert leading_by_grams(low, rng.standard_normal((40, 70)), 6) is None  # nothing is left out
    assert leading_by_grams(np.zeros((90, 40)), np.zeros((40, 70)), 6) is None
