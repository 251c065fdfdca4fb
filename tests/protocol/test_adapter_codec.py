import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.errors import RefusedPayload
from renga.protocol.adapter_codec import CODINGS, decode_adapter, encode_adapter
from renga.protocol.packing import pack, unpack

BASE = "f" * 64
PROVENANCE = {"who": "clinic", "round": "3"}


def factors(rank: int = 4, seed: int = 0):
    rng = np.random.default_rng(seed)
    shapes = {"model.layers.0.q_proj": (48, 32), "model.layers.0.down_proj": (32, 77), "lm_head": (5, 3)}
    return {
        name: (
            rng.standard_normal((rank, into)).astype(np.float32),
            (0.01 * rng.standard_normal((out, rank))).astype(np.float32),
        )
        for name, (out, into) in shapes.items()
    }


def sent(given, coding, rank=4, **more):
    encoded = encode_adapter(
        given, rank=rank, alpha=8, base=BASE, provenance=PROVENANCE, coding=coding, **more
    )
    blob = pack(encoded.arrays, {"adapter": encoded.meta})
    arrays, meta = unpack(blob, limit_bytes=1 << 26)
    return encoded, decode_adapter(arrays, meta["adapter"]), blob.size


@pytest.mark.parametrize(("coding", "tolerance"), [("float32", 0.0), ("bf16", 2**-8), ("blocks8", 0.01)])
def test_an_adapter_comes_back(coding, tolerance):
    original = factors()
    _, got, _ = sent(original, coding)
    assert (got.rank, got.alpha, got.base, got.provenance) == (4, 8.0, BASE, PROVENANCE)
    assert list(got.factors) == sorted(original)
    for name, parts in original.items():
        for part, back in zip(parts, got.factors[name], strict=True):
            assert back.dtype == np.float32
            assert back.shape == part.shape
            assert np.linalg.norm(back - part) <= tolerance * np.linalg.norm(part)
            assert back.flags.writeable
            assert back.flags.c_contiguous


def test_what_the_coding_lost_is_the_residual_and_mends_the_next_send():
    original = factors()
    for coding in CODINGS:
        first, got, _ = sent(original, coding)
        second, got_again, _ = sent(original, coding, residual=first.residual)
        for name, (a, b) in original.items():
            for part, x, y in zip((a, b), got.factors[name], got_again.factors[name], strict=True):
                assert np.linalg.norm((x + y) / 2 - part) <= np.linalg.norm(x - part)
        if coding == "float32":
            assert not second.residual.any()
    with pytest.raises(ValueError, match="residual"):
        sent(original, "bf16", residual=first.residual[:-64])


def test_a_column_keeps_its_digits_beside_one_a_thousand_times_larger():
    rng = np.random.default_rng(3)
    b = (rng.standard_normal((128, 4)) * np.array([1, 1e-1, 1e-2, 1e-3])).astype(np.float32)
    _, got, _ = sent({"m": (rng.standard_normal((4, 64)).astype(np.float32), b)}, "blocks8")
    error = np.linalg.norm(got.factors["m"][1] - b, axis=0) / np.linalg.norm(b, axis=0)
    assert error.max() < 0.01


def test_size_on_a_real_shape_with_names_included():
    rng = np.random.default_rng(0)
    shapes = {"self_attn.q_proj": (576, 576), "self_attn.k_proj": (192, 576), "mlp.down_proj": (576, 1536)}
    given = {
        f"model.layers.{layer}.{name}": (
            rng.standard_normal((8, into)).astype(np.float32),
            rng.standard_normal((out, 8)).astype(np.float32),
        )
        for layer in range(30)
        for name, (out, into) in shapes.items()
    }
    sizes = {coding: sent(given, coding, rank=8)[2] for coding in CODINGS}
    values = sum(a.size + b.size for a, b in given.values())
    assert 4 * values <= sizes["float32"] <= 4.1 * values
    assert sizes["float32"] / sizes["blocks8"] >= 3.5
    assert sizes["float32"] / sizes["bf16"] >= 1.95


def test_equal_adapters_have_equal_bytes_whatever_their_order():
    original = factors()
    blobs = set()
    for order in (original, dict(reversed(original.items()))):
        encoded = encode_adapter(order, rank=4, alpha=8, base=BASE, provenance=PROVENANCE)
        blobs.add(pack(encoded.arrays, encoded.meta).tobytes())
    assert len(blobs) == 1


def changes(meta):
    modules = meta["modules"]
    yield "rank", {**meta, "rank": 3}
    yield "rank 0", {**meta, "rank": 0}
    yield "rank bool", {**meta, "rank": True}
    yield "rank huge", {**meta, "rank": 1 << 40}
    yield "alpha", {**meta, "alpha": -1.0}
    yield "alpha text", {**meta, "alpha": "8"}
    yield "alpha inf", {**meta, "alpha": float("inf")}
    yield "base", {**meta, "base": 7}
    yield "coding", {**meta, "coding": "pickle"}
    yield "coding of another kind", {**meta, "coding": "bf16"}
    yield "coding no text", {**meta, "coding": ["bf16"]}
    yield "provenance", {**meta, "provenance": {"who": 3}}
    yield "modules gone", {**meta, "modules": modules[1:]}
    yield "modules empty", {**meta, "modules": []}
    yield "modules unordered", {**meta, "modules": modules[::-1]}
    yield "modules twice", {**meta, "modules": [modules[0], *modules]}
    yield "shape", {**meta, "modules": [[modules[0][0], 1 << 30, 1 << 30], *modules[1:]]}
    yield "shape negative", {**meta, "modules": [[modules[0][0], -5, 3], *modules[1:]]}
    yield "entry", {**meta, "modules": [["x"], *modules[1:]]}
    yield "more", {**meta, "more": 1}
    yield "no table", [1, 2]


def test_meta_that_lies_is_refused():
    encoded = encode_adapter(factors(), rank=4, alpha=8, base=BASE, provenance={})
    decode_adapter(encoded.arrays, encoded.meta)
    for what, meta in changes(encoded.meta):
        with pytest.raises(RefusedPayload) as refusal:
            decode_adapter(encoded.arrays, meta)
        assert refusal.value.message.startswith("adapter refused"), what
    with pytest.raises(RefusedPayload):
        decode_adapter(encoded.arrays, encoded.meta, max_rank=3)


def test_arrays_that_lie_are_refused():
    encoded = encode_adapter(factors(), rank=4, alpha=8, base=BASE, provenance={})
    scales = encoded.arrays["scales"].copy()
    scales[2] = np.inf
    for arrays in (
        {"codes": encoded.arrays["codes"]},
        {**encoded.arrays, "more": scales},
        {**encoded.arrays, "scales": scales[:-1]},
        {**encoded.arrays, "codes": encoded.arrays["codes"].astype(np.int16)},
    ):
        with pytest.raises(RefusedPayload):
            decode_adapter(arrays, encoded.meta)
    with pytest.raises(RefusedPayload, match="lm_head has values that are not finite"):
        decode_adapter({**encoded.arrays, "scales": np.full_like(scales, np.inf)}, encoded.meta)


@given(st.binary(min_size=1, max_size=4), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_a_damaged_blob_is_refused_or_still_an_adapter(noise, where):
    encoded = encode_adapter(factors(), rank=4, alpha=8, base=BASE, provenance={}, coding="bf16")
    blob = pack(encoded.arrays, encoded.meta)
    at = int(where * (blob.size - len(noise)))
    blob[at : at + len(noise)] = np.frombuffer(noise, dtype=np.uint8)
    try:
        got = decode_adapter(*unpack(blob, limit_bytes=1 << 20))
    except RefusedPayload:
        return
    assert all(np.isfinite(a).all() and np.isfinite(b).all() for a, b in got.factors.values())


@pytest.mark.parametrize("coding", CODINGS)
def test_factors_are_the_same_however_they_are_asked_for(coding: str) -> None:
    random = np.random.default_rng(5)
    shapes = {f"layers.{n}": (int(random.integers(1, 90)), int(random.integers(1, 90))) for n in range(7)}
    factors = {
        name: (random.normal(size=(3, into)).astype("f4"), random.normal(size=(out, 3)).astype("f4"))
        for name, (out, into) in shapes.items()
    }
    encoded = encode_adapter(factors, rank=3, alpha=6.0, base="b", provenance={}, coding=coding)
    decoded = decode_adapter(encoded.arrays, encoded.meta).factors
    assert list(decoded) == sorted(factors) and len(decoded) == 7
    for name in sorted(factors, reverse=True):
        for one, again, whole in zip(decoded[name], decoded[name], factors[name], strict=True):
            assert one.flags.c_contiguous and one.flags.writeable and np.array_equal(one, again)
            assert np.abs(one - whole).max() <= (0 if coding == "float32" else 0.02)
