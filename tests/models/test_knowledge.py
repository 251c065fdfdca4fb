"""Rows: what is kept of a model's outputs, and what of a peer's claims is believed."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.errors import RefusedPayload, RengaError
from renga.models.knowledge import Rows, rows_from_logits
from renga.protocol.knowledge_codec import decode_rows, encode_rows
from tests.models.tiny_tokenizers import CORPUS, vocabulary

V = vocabulary("bytes-large")
TEXT = CORPUS[0]
GOLD = [*V.encode(TEXT), V.end]


def logits_of(seed, sharpness=3.0, gold=GOLD):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(gold), V.size, generator=generator) * sharpness
    logits[torch.arange(len(gold)), torch.tensor(gold)] += 6 * torch.rand(len(gold), generator=generator)
    return logits


@given(
    seed=st.integers(0, 1000),
    top_k=st.integers(1, 600),
    floor=st.sampled_from([0.0, 1e-4, 1e-2, 0.3]),
    sharpness=st.sampled_from([0.1, 3.0, 30.0]),
)
@settings(max_examples=40, deadline=None)
def test_rows_keep_the_best_tokens_above_the_floor(seed, top_k, floor, sharpness):
    logits = logits_of(seed, sharpness)
    rows = rows_from_logits(logits, GOLD, V, top_k, floor)
    rows.check(V.size, len(TEXT.encode()), (V, TEXT.encode()))
    exact = torch.log_softmax(logits.double(), -1).numpy()
    starts = np.cumsum(rows.counts) - rows.counts
    for j, (start, count) in enumerate(zip(starts, rows.counts, strict=True)):
        ids, logp = rows.ids[start : start + count], rows.logp[start : start + count]
        assert logp == pytest.approx(exact[j][ids], abs=1e-4)
        wanted = np.sort(exact[j])[::-1][:top_k]
        wanted = wanted[wanted >= (math.log(floor) if floor else -np.inf)]
        assert logp == pytest.approx(wanted, abs=1e-4)
        assert rows.gold_logp[j] == pytest.approx(exact[j][GOLD[j]], abs=1e-4)
        assert rows.tail()[j] == pytest.approx(1 - np.exp(wanted).sum(), abs=1e-5)
    assert rows.offsets.tolist() == [len(V.bytes_of(GOLD[:j])) for j in range(len(GOLD))]
    assert rows.gold.tolist() == GOLD


def test_bits_per_byte_counts_the_response_without_its_end():
    rows = rows_from_logits(torch.zeros(len(GOLD), V.size), GOLD, V, 4, 0.0)
    expected = (len(GOLD) - 1) * math.log2(V.size) / len(TEXT.encode())
    assert rows.bits_per_byte == pytest.approx(expected, rel=1e-6)
    later = rows.gold_logp.copy()
    later[-1] = -50
    assert replace(rows, gold_logp=later).bits_per_byte == rows.bits_per_byte


def test_an_empty_response_wins_no_comparison():
    rows = rows_from_logits(torch.zeros(1, V.size), [V.end], V, 4, 0.0)
    rows.check(V.size, 0, (V, b""))
    assert not rows.bits_per_byte < 100
    assert not rows.bits_per_byte >= 0


def test_rows_in_pieces_are_rows_at_once(monkeypatch):
    from renga.models import knowledge

    at_once = rows_from_logits(logits_of(1), GOLD, V, 8, 1e-3)
    monkeypatch.setattr(knowledge, "_CHUNK", 3 * V.size)
    in_pieces = rows_from_logits(logits_of(1), GOLD, V, 8, 1e-3)
    for name in Rows.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(at_once, name), getattr(in_pieces, name))


def test_outputs_that_name_no_token_and_low_precision():
    logits = logits_of(2)
    padded = torch.cat([logits, torch.full((len(GOLD), 37), 50.0)], dim=1)
    plain, wider = (rows_from_logits(x, GOLD, V, 8, 1e-3) for x in (logits, padded))
    np.testing.assert_array_equal(plain.ids, wider.ids)
    np.testing.assert_array_equal(plain.gold_logp, wider.gold_logp)
    half = rows_from_logits(logits.bfloat16(), GOLD, V, 8, 1e-3)
    assert half.logp.dtype == half.gold_logp.dtype == np.float32
    half.check(V.size, len(TEXT.encode()))


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_broken_model_gives_no_rows(poison):
    logits = logits_of(3)
    logits[2, 5] = poison
    with pytest.raises(RengaError, match="not finite"):
        rows_from_logits(logits, GOLD, V, 8, 1e-3)
    with pytest.raises(ValueError, match="rows of logits"):
        rows_from_logits(logits[:-1], GOLD, V, 8, 1e-3)


@given(
    seed=st.integers(0, 1000),
    top_k=st.integers(1, 64),
    floor=st.sampled_from([0.0, 1e-4, 1e-2, 0.3]),
    sharpness=st.sampled_from([0.1, 1.0, 3.0, 30.0]),
)
@settings(max_examples=60, deadline=None)
def test_honest_rows_pass_after_coding(seed, top_k, floor, sharpness):
    rows = rows_from_logits(logits_of(seed, sharpness), GOLD, V, top_k, floor)
    (decoded,) = decode_rows(encode_rows([rows], V.size), V.size)
    coded = Rows(*decoded)
    coded.check(V.size, len(TEXT.encode()), (V, TEXT.encode()))
    assert coded.bits_per_byte == pytest.approx(rows.bits_per_byte, rel=2e-3, abs=1e-4)


def changed(rows, **change):
    """The rows with some fields changed in place: name=(index, value)."""
    fields = {}
    for name, (index, value) in change.items():
        fields[name] = getattr(rows, name).copy()
        fields[name][index] = value
    return replace(rows, **fields)


LIES = {
    "first row elsewhere": (lambda r: changed(r, offsets=(0, 1)), "byte 0"),
    "offsets fall": (lambda r: changed(r, offsets=(3, 0)), "fall"),
    "ends elsewhere": (lambda r: changed(r, offsets=(-1, 10_000)), "where the text ends"),
    "gold outside": (lambda r: changed(r, gold=(2, V.size)), "outside"),
    "gold negative": (lambda r: changed(r, gold=(2, -1)), "outside"),
    "id outside": (lambda r: changed(r, ids=(2, V.size)), "outside"),
    "id negative": (lambda r: changed(r, ids=(2, -1)), "outside"),
    "token twice": (lambda r: changed(r, ids=(1, r.ids[0])), "twice"),
    "NaN": (lambda r: changed(r, logp=(1, np.nan)), "no log-probability"),
    "infinite": (lambda r: changed(r, logp=(1, -np.inf)), "no log-probability"),
    "gold NaN": (lambda r: changed(r, gold_logp=(1, np.nan)), "no log-probability"),
    "gold infinite": (lambda r: changed(r, gold_logp=(1, -np.inf)), "no log-probability"),
    "above one": (lambda r: changed(r, gold_logp=(1, 0.1)), "no log-probability"),
    "rising": (lambda r: changed(r, logp=(1, r.logp[0] + 1e-4)), "rises"),
    "too much mass": (lambda r: replace(r, logp=np.minimum(r.logp + 1, 0)), "sum to"),
    "claims a better gold": (lambda r: replace(r, gold_logp=np.minimum(r.gold_logp + 0.5, 0)), "gold"),
    "claims a worse gold": (lambda r: replace(r, gold_logp=r.gold_logp - 0.5), "contradicts"),
    "all sure": (lambda r: replace(r, gold_logp=np.zeros_like(r.gold_logp)), "gold"),
    "counts too many": (lambda r: changed(r, counts=(0, r.counts[0] + 1)), "counts sum"),
    "counts negative": (lambda r: changed(r, counts=(0, -1)), "fewer than no"),
    "lengths differ": (lambda r: replace(r, gold=r.gold[:-1]), "differ in length"),
    "wrong type": (lambda r: replace(r, logp=r.logp.astype(np.float64)), "logp is not a float32"),
    "wrong shape": (lambda r: replace(r, gold=r.gold[:, None]), "one dimension"),
    "a list": (lambda r: replace(r, ids=r.ids.tolist()), "ids is not"),
    "nothing": (
        lambda r: Rows(*(getattr(r, name)[:0] for name in Rows.__dataclass_fields__)),
        "no row",
    ),
    "other gold": (lambda r: changed(r, gold=(3, 40), gold_logp=(3, -15.0)), "spell|contradicts"),
    "no end": (lambda r: changed(r, gold=(-1, 40), gold_logp=(-1, -15.0)), "spell|contradicts"),
    "shifted rows": (lambda r: changed(r, offsets=(3, r.offsets[2])), "offsets"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_no_model_can_have_meant_is_refused(lie):
    rows = rows_from_logits(logits_of(5), GOLD, V, 8, 1e-3)
    rows.check(V.size, len(TEXT.encode()), (V, TEXT.encode()))
    make, why = LIES[lie]
    with pytest.raises(RefusedPayload, match=why) as refusal:
        make(rows).check(V.size, len(TEXT.encode()), (V, TEXT.encode()))
    assert refusal.value.hint


@pytest.mark.parametrize(
    ("listed", "gold", "believed"),
    [(0.6, 0.35, True), (0.6, 0.5, False), (0.3, 0.2, True), (0.3, 0.5, False), (None, 0.9, True)],
)
def test_an_unlisted_gold_token_has_only_the_room_its_row_leaves(listed, gold, believed):
    """Less than the tail, and no more than what is listed: otherwise it would have been listed."""
    fox, end = V.encode("f")[0], V.end
    counts = [0 if listed is None else 1, 1]
    rows = Rows(
        offsets=np.array([0, 1], dtype=np.int32),
        gold=np.array([fox, end], dtype=np.int32),
        gold_logp=np.log(np.array([gold, 1.0], dtype=np.float32)),
        counts=np.array(counts, dtype=np.int32),
        ids=np.array([fox + 1, end][-sum(counts) :], dtype=np.int32),
        logp=np.log(np.array([listed or 0.5, 1.0], dtype=np.float32))[-sum(counts) :],
    )
    if believed:
        rows.check(V.size, 1, (V, b"f"))
    else:
        with pytest.raises(RefusedPayload, match="room"):
            rows.check(V.size, 1)
