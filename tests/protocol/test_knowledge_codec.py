import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.errors import RefusedPayload
from renga.protocol.coding import LOG8_ERROR, LOG8_FLOOR
from renga.protocol.knowledge_codec import LOGP_ERROR, RowArrays, decode_rows, encode_rows
from renga.protocol.packing import pack, unpack


class Made(NamedTuple):
    rows: RowArrays
    tails: np.ndarray


def made(seed: int, n: int, k: int, vocabulary: int, sharpness: float = 2.0, step: int = 9) -> Made:
    """Rows of a model that doesn't exist: top-k (fewer in some rows) of random distributions."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((n, vocabulary)) * sharpness
    logp = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    order = np.argsort(-logp, axis=1)[:, :k]
    counts = np.minimum(k, vocabulary) - (np.arange(n) % 3 == 1) * (k // 2)
    keep = np.arange(order.shape[1])[None, :] < counts[:, None]
    gold = np.where(
        rng.random(n) < 0.7, order[np.arange(n), rng.integers(0, 2, n) % k], rng.integers(0, vocabulary, n)
    )
    listed = np.take_along_axis(logp, order, 1)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, step, n - 1))])
    rows = RowArrays(
        offsets.astype(np.int32),
        gold.astype(np.int32),
        logp[np.arange(n), gold].astype(np.float32),
        counts.astype(np.int32),
        order[keep].astype(np.int32),
        listed[keep].astype(np.float32),
    )
    return Made(rows, 1 - (np.exp(listed) * keep).sum(1))


def tails_of(rows: RowArrays) -> np.ndarray:
    row = np.repeat(np.arange(rows.counts.size), rows.counts)
    return 1 - np.bincount(row, np.exp(rows.logp.astype(np.float64)), rows.counts.size)


@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, 12), min_size=0, max_size=5),
    st.integers(1, 9),
    st.sampled_from([10, 300, 66_000]),
    st.sampled_from([0.1, 2.0, 12.0]),
    st.sampled_from([9, 400]),
)
@settings(max_examples=40, deadline=None)
def test_rows_come_back_within_their_bounds(seed, lengths, k, vocabulary, sharpness, step):
    if vocabulary > 1000:
        lengths = lengths[:1]
    texts = [made(seed + i, n, k, vocabulary, sharpness, step) for i, n in enumerate(lengths)]
    arrays, _ = unpack(pack(encode_rows([t.rows for t in texts], vocabulary), {}), limit_bytes=1 << 24)
    decoded = decode_rows(arrays, vocabulary)
    assert len(decoded) == len(texts)
    for (rows, tails), got in zip(texts, decoded, strict=True):
        for name in ("offsets", "gold", "counts", "ids"):
            assert np.array_equal(getattr(got, name), getattr(rows, name)), name
            assert getattr(got, name).dtype == np.int32
        assert got.logp.dtype == got.gold_logp.dtype == np.float32
        assert np.allclose(got.gold_logp, rows.gold_logp, rtol=2**-10, atol=1e-6)
        assert np.abs(got.logp - np.maximum(rows.logp, LOG8_FLOOR)).max(initial=0) <= LOGP_ERROR + 1e-3
        assert (tails_of(got) > -1e-6).all(), "the listed mass never exceeds 1"
        assert (
            np.abs(np.log(np.maximum(tails_of(got), 1e-3) / np.maximum(tails, 1e-3))).max() < 2 * LOG8_ERROR
        )


def test_a_row_that_is_sure_comes_back_almost_exact():
    rows = made(0, 50, 8, 100, sharpness=30).rows
    (got,) = decode_rows(encode_rows([rows], 100), 100)
    assert np.abs(np.exp(got.logp) - np.exp(rows.logp)).max() < 0.008


def test_a_text_of_512_tokens_at_top_16_takes_a_twentieth_of_the_published_coding():
    rng = np.random.default_rng(0)
    n, k, vocabulary = 513, 16, 262_144
    for listed in (True, False):  # the worst case: no gold token is among the listed
        ids = np.stack([rng.choice(vocabulary, k, replace=False) for _ in range(n)]).astype(np.int32)
        logp = np.sort(rng.uniform(-8, -4, (n, k)).astype(np.float32))[:, ::-1]
        gold = ids[:, 0] if listed else (ids.max(1) + 1) % vocabulary
        rows = RowArrays(
            np.arange(n, dtype=np.int32) * 4,
            gold,
            logp[:, 0] if listed else np.full(n, -9, dtype=np.float32),
            np.full(n, k, dtype=np.int32),
            ids.reshape(-1),
            logp.reshape(-1),
        )
        size = pack(encode_rows([rows], vocabulary), {}).size
        assert size <= 776 * 1024 / 20, size
        assert size <= 74 * n + 800


def test_the_bits_per_byte_of_a_text_survive():
    rows = made(4, 200, 8, 5000).rows
    (got,) = decode_rows(encode_rows([rows], 5000), 5000)
    bits = [-float(r.gold_logp[:-1].sum()) / math.log(2) / int(r.offsets[-1]) for r in (rows, got)]
    assert bits[1] == pytest.approx(bits[0], rel=1e-3)


def test_rows_without_tokens_and_whole_vocabularies():
    n = 4
    bare = RowArrays(
        np.zeros(n, np.int32), np.zeros(n, np.int32), np.full(n, -3, np.float32),
        np.zeros(n, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32),
    )  # fmt: skip
    whole = made(5, 6, 10, 10).rows
    got = decode_rows(encode_rows([bare, whole], 10), 10)
    assert np.array_equal(got[0].gold_logp, bare.gold_logp)
    assert np.array_equal(got[1].ids, whole.ids)
    assert decode_rows(encode_rows([], 10), 10) == []


def changed(arrays, **new):
    return {**{k: v.copy() for k, v in arrays.items()}, **new}


def test_every_lie_is_refused():
    size = 300
    one, two = made(6, 9, 6, size).rows, made(7, 5, 6, size).rows
    # The first token of every row is the gold of one text, so that lies about it can be told.
    start = np.cumsum(one.counts) - one.counts
    one = one._replace(gold=one.ids[start], gold_logp=one.logp[start])
    good = encode_rows([one, two], size)
    decode_rows(good, size)

    def at(name, index, value):
        copy = good[name].copy()
        copy[index] = value
        return changed(good, **{name: copy})

    half = np.float16(good["gold_logp"][0] / 4)
    lies = {
        "missing": {k: v for k, v in good.items() if k != "tail"},
        "unknown": changed(good, more=good["tail"]),
        "dtype": changed(good, gold_logp=good["gold_logp"].astype(np.float32)),
        "shape": changed(good, logp=good["logp"].reshape(-1, 1)),
        "short": changed(good, logp=good["logp"][:-1]),
        "rows": changed(good, texts=good["texts"] + np.uint32(1)),
        "no rows": changed(good, texts=np.array([14, 0], dtype=np.uint32)),
        "huge texts": changed(good, texts=np.full(2, 0xFFFFFFFF, dtype=np.uint32)),
        "not at byte 0": at("steps", 9, 3),
        "id": at("ids", 3, size),
        "twice": at("ids", 1, good["ids"][0]),
        "rising": at("logp", 0, 255),
        "mass": at("tail", 0, 0),
        "place": at("gold_at", 0, 200),
        "gold above 0": at("gold_logp", 0, 0.5),
        "gold NaN": at("gold_logp", 0, np.nan),
        "gold -inf": at("gold_logp", 0, -np.inf),
        "gold better than its row": at("gold_logp", 0, half),
        "gold worse than its row": at("gold_logp", 0, good["gold_logp"][0] * 2 - 1),
        "counts": changed(good, counts=np.full_like(good["counts"], 255)),
    }
    for what, arrays in lies.items():
        with pytest.raises(RefusedPayload) as refusal:
            decode_rows(arrays, size)
        assert refusal.value.message.startswith("knowledge refused"), what
    with pytest.raises(RefusedPayload, match="more than 5"):
        decode_rows(good, size, max_count=5)
    with pytest.raises(RefusedPayload):
        decode_rows(good, 200_000)


def test_an_unlisted_gold_token_cannot_have_more_than_the_tail():
    rows = RowArrays(
        np.array([0], np.int32), np.array([9], np.int32), np.array([math.log(0.1)], np.float32),
        np.array([1], np.int32), np.array([2], np.int32), np.array([math.log(0.9)], np.float32),
    )  # fmt: skip
    good = encode_rows([rows], 10)
    decode_rows(good, 10)
    with pytest.raises(RefusedPayload, match="text 0: a gold log-probability contradicts"):
        decode_rows(changed(good, gold_logp=np.array([math.log(0.5)], np.float16)), 10)
    with pytest.raises(RefusedPayload, match="given apart"):
        decode_rows(changed(good, gold=np.array([2], np.uint16)), 10)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_random_bytes_in_any_array_are_refused_or_mean_rows(data):
    arrays = encode_rows([made(8, 6, 4, 300).rows, made(9, 3, 4, 300).rows], 300)
    name = data.draw(st.sampled_from(sorted(arrays)))
    raw = bytearray(arrays[name].tobytes())
    if raw:
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    array = np.frombuffer(bytes(raw), dtype=arrays[name].dtype).reshape(arrays[name].shape)
    try:
        got = decode_rows({**arrays, name: array}, 300)
    except RefusedPayload:
        return
    for rows in got:
        assert rows.offsets[0] == 0
        assert (np.diff(rows.offsets) >= 0).all()
        assert rows.ids.max() < 300
        assert np.isfinite(rows.logp).all()
        assert (tails_of(rows) > -1e-6).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"offsets": np.array([0, 3, 2], np.int32)},
        {"offsets": np.array([1, 2, 3], np.int32)},
        {"offsets": np.array([0, 70_000, 70_001], np.int32)},
        {"counts": np.array([1, 1], np.int32)},
        {"ids": np.array([1, 2, 50], np.int32)},
        {"gold_logp": np.array([-1, -np.inf, -1], np.float32)},
        {"logp": np.array([0.5, -1, -1], np.float32)},
        {"logp": np.array([np.nan, -1, -1], np.float32)},
    ],
)
def test_rows_that_no_model_can_mean_are_not_sent(wrong):
    good = RowArrays(
        np.array([0, 2, 3], np.int32), np.array([1, 2, 3], np.int32), np.full(3, -1, np.float32),
        np.ones(3, np.int32), np.array([1, 2, 3], np.int32), np.full(3, -1, np.float32),
    )  # fmt: skip
    encode_rows([good], 10)
    with pytest.raises(ValueError):
        encode_rows([good._replace(**wrong)], 10)
