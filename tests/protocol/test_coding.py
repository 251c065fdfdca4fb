import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from renga.protocol.coding import (
    LOG8_ERROR,
    Blocks8,
    encode_with_feedback,
    from_bf16,
    from_blocks8,
    from_ids,
    from_log8,
    to_bf16,
    to_blocks8,
    to_ids,
    to_log8,
)


def all_kinds_of_floats() -> np.ndarray:
    """Every exponent and sign with mantissas around the rounding boundary, and random bits."""
    top = np.arange(1 << 16, dtype=np.uint32) << 16
    low = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], dtype=np.uint32)
    return (top[:, None] | low).reshape(-1).view(np.float32)


def test_bf16_is_what_torch_does_on_every_kind_of_float():
    x = all_kinds_of_floats()
    ours = from_bf16(to_bf16(x))
    theirs = torch.from_numpy(x).to(torch.bfloat16).float().numpy()
    assert np.array_equal(ours, theirs, equal_nan=True)
    number = ~np.isnan(x)  # torch drops the sign of a NaN
    assert np.array_equal(np.signbit(ours[number]), np.signbit(theirs[number]))
    assert np.array_equal(np.isnan(ours), np.isnan(x))


@given(npst.arrays(np.float32, st.integers(0, 300), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
@settings(max_examples=100, deadline=None)
def test_blocks_err_by_half_a_step_of_their_own_block(x):
    coded = to_blocks8(x)
    error = np.abs(from_blocks8(coded) - x)
    steps = np.repeat(coded.scales, 64)[: x.size]
    # 1e-5: the division and the product round too. Blocks below 1.5e-36 become zero.
    assert (error <= steps * (0.5 + 1e-5) + 127 * np.finfo(np.float32).tiny).all()


def test_blocks_of_other_sizes_do_not_disturb_each_other():
    x = np.concatenate([np.full(64, 1e6), np.full(64, 1e-6), np.full(3, -2.0)]).astype(np.float32)
    assert np.allclose(from_blocks8(to_blocks8(x)), x, rtol=1e-6)


def test_blocks_are_at_least_three_and_a_half_times_smaller():
    x = np.random.default_rng(0).standard_normal(8 * 576).astype(np.float32)
    coded = to_blocks8(x)
    assert x.nbytes / (coded.codes.nbytes + coded.scales.nbytes) > 3.7
    assert np.linalg.norm(from_blocks8(coded) - x) / np.linalg.norm(x) < 0.01


def test_blocks_refuse_what_they_cannot_mean():
    with pytest.raises(ValueError, match="finite"):
        to_blocks8(np.array([1, np.nan], dtype=np.float32))
    with pytest.raises(ValueError, match="scales"):
        from_blocks8(Blocks8(np.zeros(65, np.int8), np.zeros(1, np.float32)))


def test_feedback_keeps_the_sum_of_what_was_sent_right():
    rng = np.random.default_rng(1)
    x = (rng.standard_normal((8, 40)) * 1e-2).astype(np.float32)
    x[:, 0] = 1.0  # a large value in every block hides the small ones from a code without feedback
    rounds = 200
    with_feedback, without = np.zeros(x.shape), np.zeros(x.shape)
    residual = np.zeros_like(x)
    for _ in range(rounds):
        coded, residual = encode_with_feedback(x, residual)
        with_feedback += from_blocks8(coded).reshape(x.shape)
        without += from_blocks8(to_blocks8(x)).reshape(x.shape)
    meant = rounds * x.astype(np.float64)
    assert np.abs(with_feedback - meant).max() < 0.01
    assert np.abs(without - meant).max() > 0.3
    assert np.allclose(with_feedback + residual, meant, atol=1e-3)


def test_log8_keeps_its_bounds_everywhere():
    x = np.concatenate([np.linspace(0, 16, 200_001), np.geomspace(1e-9, 16, 10_001)])
    error = np.abs(from_log8(to_log8(-x)).astype(np.float64) + x)
    assert (error <= 4 * np.sqrt(x) / 255 + 8 / 255**2 + 1e-6).all()
    assert error.max() <= LOG8_ERROR
    in_probability = np.abs(np.exp(from_log8(to_log8(-x)).astype(np.float64)) - np.exp(-x))
    assert in_probability.max() < 0.007
    # Even steps over the same range, which this replaces.
    even = np.rint(x / 16 * 255) / 255 * 16
    assert np.abs(np.exp(-even) - np.exp(-x)).max() > 0.03


def test_log8_at_and_outside_the_ends():
    codes = to_log8(np.array([0.0, 1e-3, -16.0, -17.0, -np.inf]))
    assert np.array_equal(from_log8(codes), np.array([0, 0, -16, -16, -16], dtype=np.float32))
    with pytest.raises(ValueError, match="NaN"):
        to_log8(np.array([np.nan]))


@given(npst.arrays(np.float64, 50, elements=st.floats(-20, 0)))
@settings(max_examples=50, deadline=None)
def test_log8_keeps_order_and_its_own_values(logp):
    falling = -np.sort(-logp)
    codes = to_log8(falling)
    assert (np.diff(codes.astype(int)) >= 0).all()
    assert np.array_equal(to_log8(from_log8(codes)), codes)


@pytest.mark.parametrize(
    ("vocabulary", "bytes_each"), [(1, 2), (49_152, 2), (65_536, 2), (65_537, 3), (262_144, 3)]
)
def test_ids_come_back_in_two_or_three_bytes(vocabulary, bytes_each):
    ids = np.random.default_rng(2).integers(0, vocabulary, 1000).astype(np.int32)
    ids[:2] = [0, vocabulary - 1]
    coded = to_ids(ids, vocabulary)
    assert coded.nbytes == bytes_each * ids.size
    assert np.array_equal(from_ids(coded, vocabulary), ids)
    assert from_ids(to_ids(ids[:0], vocabulary), vocabulary).shape == (0,)


def test_ids_outside_the_vocabulary_are_refused_both_ways():
    for size in (100, 100_000):
        with pytest.raises(ValueError, match="outside"):
            to_ids(np.array([size]), size)
        with pytest.raises(ValueError, match="outside"):
            to_ids(np.array([-1]), size)
        with pytest.raises(ValueError, match="outside"):
            from_ids(to_ids(np.array([size]), size + 1), size)
    with pytest.raises(ValueError, match=r"\[n, 3\]"):
        from_ids(np.zeros(3, np.uint16), 100_000)
