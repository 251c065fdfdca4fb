import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from renga.errors import RefusedPayload
from renga.protocol.packing import DTYPES, pack, unpack

LIMIT = 1 << 20

arrays_of_any_kind = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda s: max(s) < "\ud800" or min(s) > "\udfff"),
    st.sampled_from(sorted(DTYPES)).flatmap(
        lambda name: npst.arrays(
            np.dtype(name), npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
        )
    ),
    max_size=5,
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('ab連\n"', max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def example() -> np.ndarray:
    return pack(
        {
            "codes": np.arange(-5, 20, dtype=np.int8),
            "scales": np.linspace(0, 1, 7, dtype=np.float32).reshape(7, 1),
            "wide": np.arange(3, dtype=np.int64),
            "empty": np.zeros((0, 3), dtype=np.uint16),
        },
        {"round": 3, "who": "連歌", "nested": {"b": [1, 2.5, None], "a": True}},
    )


def assembled(header: object, data: bytes = b"") -> np.ndarray:
    """A pack with a header of one's own making."""
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return np.frombuffer(b"RPK\x01" + len(text).to_bytes(4, "little") + text + data, dtype=np.uint8)


@given(arrays_of_any_kind, st.dictionaries(st.text("abc連", max_size=3), json_values, max_size=3))
@settings(max_examples=60, deadline=None)
def test_what_is_packed_comes_back_and_has_one_encoding(arrays, meta):
    blob = pack(arrays, meta)
    again, meta_again = unpack(blob, limit_bytes=LIMIT)
    assert meta_again == meta
    assert set(again) == set(arrays)
    for name, array in arrays.items():
        assert again[name].dtype == array.dtype
        assert again[name].shape == array.shape
        assert again[name].tobytes() == array.tobytes()
    shuffled = dict(reversed(arrays.items()))
    assert pack(shuffled, dict(reversed(meta.items()))).tobytes() == blob.tobytes()
    assert pack(again, meta_again).tobytes() == blob.tobytes()


def test_arrays_are_aligned_read_only_views():
    blob = example()
    arrays, _ = unpack(blob, limit_bytes=LIMIT)
    for array in arrays.values():
        assert not array.flags.writeable
        assert array.size == 0 or np.shares_memory(array, blob)
        assert array.flags.aligned


def test_strided_and_big_endian_arrays_are_stored_as_their_values():
    strided = np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::3]
    big = np.arange(4, dtype=">i4")
    arrays, _ = unpack(pack({"s": strided, "b": big}, {}), limit_bytes=LIMIT)
    assert np.array_equal(arrays["s"], strided)
    assert np.array_equal(arrays["b"], big)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_no_change_to_the_bytes_does_more_than_be_refused(data):
    blob = example()
    raw = bytearray(blob.tobytes())
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["flip", "cut", "insert", "copy"]))
        at = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        if kind == "flip" and raw:
            raw[at] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del raw[at : at + data.draw(st.integers(1, len(raw) or 1))]
        elif kind == "insert":
            raw[at:at] = data.draw(st.binary(max_size=9))
        else:
            raw[at:at] = raw[: data.draw(st.integers(0, 40))]
    try:
        arrays, meta = unpack(np.frombuffer(bytes(raw), dtype=np.uint8), limit_bytes=LIMIT)
    except RefusedPayload:
        return
    # Only values may have changed: it is then the one encoding of other values.
    assert pack(arrays, meta).tobytes() == bytes(raw)


@pytest.mark.parametrize("cut", range(0, 260, 7))
def test_every_truncation_is_refused(cut):
    blob = example()
    if cut < blob.size:
        with pytest.raises(RefusedPayload):
            unpack(blob[:cut], limit_bytes=LIMIT)


@pytest.mark.parametrize(
    "header",
    [
        {"arrays": [["a", "float32", [1 << 40, 1 << 40]]], "meta": {}},
        {"arrays": [["a", "float32", [0, 1 << 40, 1 << 40]]], "meta": {}},
        {"arrays": [["a", "uint8", [1 << 30]]], "meta": {}},
        {"arrays": [["a", "uint8", [-1]]], "meta": {}},
        {"arrays": [["a", "uint8", [True]]], "meta": {}},
        {"arrays": [["a", "uint8", [8.0]]], "meta": {}},
        {"arrays": [["a", "uint8", [1, 1, 1, 1, 8]]], "meta": {}},
        {"arrays": [["a", "object", [1]]], "meta": {}},
        {"arrays": [["a", "bool", [8]]], "meta": {}},
        {"arrays": [["a", "uint8", [4]], ["a", "uint8", [4]]], "meta": {}},
        {"arrays": [["b", "uint8", [4]], ["a", "uint8", [4]]], "meta": {}},
        {"arrays": [["", "uint8", [8]]], "meta": {}},
        {"arrays": [["a", "uint8", [7]]], "meta": {}},
        {"arrays": [["a", "uint8", [9]]], "meta": {}},
        {"arrays": [["a", ["uint8"], [8]]], "meta": {}},
        {"arrays": [["a", "uint8"]], "meta": {}},
        {"arrays": {}, "meta": {}},
        {"arrays": [], "meta": []},
        {"arrays": [["a", "uint8", [8]]], "meta": {}, "more": 1},
        {"arrays": [["a", "uint8", [8]]]},
        {"arrays": [["a", "uint8", [8]]], "meta": {"x": float("nan")}},
        [],
        7,
    ],
)
def test_headers_that_lie_are_refused_without_allocating(header):
    blob = assembled(header, b"12345678")
    tracemalloc.start()
    with pytest.raises(RefusedPayload):
        unpack(blob, limit_bytes=LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


def test_the_same_header_told_the_truth_is_taken():
    arrays, _ = unpack(
        assembled({"arrays": [["a", "uint8", [8]]], "meta": {}}, b"12345678"), limit_bytes=LIMIT
    )
    assert arrays["a"].tobytes() == b"12345678"


@pytest.mark.parametrize(
    "text",
    [
        b'{"arrays":[],"meta":{"a":1,"a":1}}',
        b'{"arrays":[],"meta":{"a":1e5}}',
        b'{"arrays":[],"meta":{"a":"\\ud800"}}',
        b'{"arrays": [],"meta":{}}',
        b"[" * 100_000,
        b'{"arrays":[],"meta":{"a":' + b"9" * 5000 + b"}}",
        b"\xff\xfe",
        b"",
    ],
)
def test_headers_in_another_form_are_refused(text):
    text += b" " * (-len(text) % 8)
    blob = b"RPK\x01" + len(text).to_bytes(4, "little") + text
    with pytest.raises(RefusedPayload):
        unpack(np.frombuffer(blob, dtype=np.uint8), limit_bytes=LIMIT)


def test_the_limit_and_the_type_of_the_blob_hold():
    blob = example()
    unpack(blob, limit_bytes=blob.size)
    with pytest.raises(RefusedPayload, match="at most"):
        unpack(blob, limit_bytes=blob.size - 1)
    with pytest.raises(RefusedPayload):
        unpack(blob.astype(np.int8), limit_bytes=LIMIT)
    with pytest.raises(RefusedPayload):
        unpack(blob.reshape(1, -1), limit_bytes=LIMIT)
    later = blob.copy()
    later[3] = 2
    with pytest.raises(RefusedPayload, match="version 2"):
        unpack(later, limit_bytes=LIMIT)


@pytest.mark.parametrize(
    ("arrays", "meta"),
    [
        ({"a": np.zeros(2, dtype=bool)}, {}),
        ({"a": np.array([None])}, {}),
        ({"a": np.zeros((1, 1, 1, 1, 1))}, {}),
        ({"": np.zeros(1)}, {}),
        ({}, {"a": float("nan")}),
        ({}, {"a": "x" * (1 << 20)}),
    ],
)
def test_what_could_not_be_read_back_is_not_written(arrays, meta):
    with pytest.raises(ValueError):
        pack(arrays, meta)
