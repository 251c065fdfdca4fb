"""The sparse loss: equal to the dense one on the same outcomes, exact where a difference of sums is not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.models import distillation
from renga.models.alignment import Targets, align, joined
from renga.models.distillation import kd_loss
from renga.models.knowledge import Rows, rows_from_logits
from renga.protocol.knowledge_codec import decode_rows, encode_rows
from tests.models.test_alignment import certain, rows_of, student_ids
from tests.models.tiny_tokenizers import CORPUS, vocabulary

TEMPERATURES = pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])


def dense_loss(logits, targets, temperature=1.0, weights=None):
    """The same loss by plain means: full softmax, one Python loop over places, float64."""
    p = torch.softmax(logits.double(), -1)
    total, weight = 0.0, 0.0
    for place in range(len(logits)):
        if not targets.mask[place]:
            continue
        mine = targets.position == place
        tokens = torch.from_numpy(targets.token[mine].astype("int64"))
        others = torch.ones(p.shape[1], dtype=torch.bool)
        others[tokens] = False
        student = torch.cat([p[place, tokens], p[place, others].sum()[None]])
        teacher = torch.cat(
            [torch.from_numpy(targets.probability[mine]), torch.tensor([targets.tail[place]])]
        ).double()
        student, teacher = student ** (1 / temperature), teacher ** (1 / temperature)
        student, teacher = student / student.sum(), teacher / teacher.sum()
        some = teacher > 0
        kl = (teacher[some] * (teacher[some] / student[some]).log()).sum()
        w = 1.0 if weights is None else float(weights[place])
        total, weight = total + w * kl, weight + w
    return total / weight * temperature**2


def case(teacher="bytes-large", student="bytes-small", text=CORPUS[1], seed=0, top_k=8):
    t, s = vocabulary(teacher), vocabulary(student)
    ids = student_ids(s, text)
    targets = align(rows_of(t, text, seed, top_k), t, s, ids)
    logits = torch.randn(len(ids), s.size, generator=torch.Generator().manual_seed(seed + 1)) * 2
    return logits, targets


@TEMPERATURES
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), weighted=st.booleans())
def test_the_sparse_loss_is_the_dense_one(temperature, seed, weighted):
    logits, targets = case(seed=seed)
    weights = torch.rand(len(logits), generator=torch.Generator().manual_seed(seed)) if weighted else None
    logits = logits.double().requires_grad_()
    loss = kd_loss(logits, targets, temperature, weights)
    expected = dense_loss(logits, targets, temperature, weights)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert loss.item() > 0
    (sparse,) = torch.autograd.grad(loss, logits)
    (dense,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(sparse, dense, rtol=1e-6, atol=1e-9)


@TEMPERATURES
@pytest.mark.parametrize("kind", ["bytes-large", "metaspace", "unigram"])
@pytest.mark.parametrize("top_k", [1, 8, 10_000])
def test_a_teacher_equal_to_the_student_costs_nothing(kind, top_k, temperature):
    v = vocabulary(kind)
    gold = student_ids(v, CORPUS[3])
    logits = torch.randn(len(gold), v.size, generator=torch.Generator().manual_seed(4)) * 5
    logits.requires_grad_()
    targets = align(rows_from_logits(logits, gold, v, top_k, 0.0), v, v, gold)
    loss = kd_loss(logits, targets, temperature)
    assert abs(loss.item()) < 2e-6
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.abs().max() < 1e-6


def test_after_eight_bit_coding_it_costs_next_to_nothing():
    v = vocabulary("bytes-large")
    gold = student_ids(v, CORPUS[3])
    logits = torch.randn(len(gold), v.size, generator=torch.Generator().manual_seed(4)) * 5
    rows = rows_from_logits(logits, gold, v, 16, 1e-4)
    (decoded,) = decode_rows(encode_rows([rows], v.size), v.size)
    loss = float(kd_loss(logits, align(Rows(*decoded), v, v, gold)))
    # every log-probability is within LOG8_ERROR: KL is at most about half its square
    assert 0 < loss < 0.0627**2
    assert loss < 1e-3


def test_gradients_by_finite_differences():
    position, token = np.array([0, 0, 2, 2, 3], dtype=np.int32), np.array([1, 4, 0, 5, 2], dtype=np.int32)
    p = np.array([0.5, 0.2, 0.9, 0.1, 0.05], dtype=np.float32)
    tail, mask = np.array([0.3, 0, 0, 0.95], dtype=np.float32), np.array([True, False, True, True])
    targets = Targets(position, token, p, tail, mask, 0.6, 0.25)
    logits = torch.randn(4, 7, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    for temperature in (1.0, 3.0):
        assert torch.autograd.gradcheck(lambda x, t=temperature: kd_loss(x, targets, t), logits)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_learning_leads_to_the_teacher(temperature):
    logits, targets = case(text="the fox")
    logits.requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for _ in range(300):
        optimiser.zero_grad()
        kd_loss(logits, targets, temperature).backward()
        optimiser.step()
    p = torch.softmax(logits.detach(), -1)
    at, token = torch.from_numpy(targets.position).long(), torch.from_numpy(targets.token).long()
    assert p[at, token].numpy() == pytest.approx(targets.probability, abs=5e-3)


def test_masked_places_neither_count_nor_learn():
    logits, targets = case()
    assert not targets.mask.all()
    masked = torch.from_numpy(~targets.mask)
    logits.requires_grad_()
    loss = kd_loss(logits, targets)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[masked] == 0).all()
    assert (gradient[~masked] != 0).any(1).all()
    other = torch.where(masked[:, None], logits.detach() * 7 - 3, logits.detach())
    assert kd_loss(other, targets).item() == loss.item()
    weights = torch.where(masked, torch.nan, 1.0)
    assert kd_loss(logits, targets, weights=weights).item() == pytest.approx(loss.item())


def test_weights_are_a_weighted_mean():
    logits, targets = case()
    n = len(logits)
    plain = kd_loss(logits, targets).item()
    assert float(kd_loss(logits, targets, weights=torch.full((n,), 0.25))) == pytest.approx(plain, rel=1e-5)
    one = torch.zeros(n)
    one[0] = 3.0
    first = kd_loss(logits, targets, weights=one).item()
    assert first == pytest.approx(dense_loss(logits, targets, weights=one).item(), rel=1e-5)
    assert float(kd_loss(logits, targets, weights=torch.zeros(n))) == 0.0


def test_without_targets_there_is_no_loss_but_a_gradient_of_zero():
    logits, targets = case()
    none = replace(
        targets,
        mask=targets.mask & False,
        tail=targets.tail * 0,
        position=targets.position[:0],
        token=targets.token[:0],
        probability=targets.probability[:0],
    )
    logits.requires_grad_()
    loss = kd_loss(logits, none)
    assert loss.item() == 0
    loss.backward()
    assert (logits.grad == 0).all()
    with pytest.raises(ValueError, match="places"):
        kd_loss(logits[:-1], targets)


def test_a_tail_too_small_for_one_minus_a_sum_is_still_exact():
    """float32 knows 1 - p only to 6e-8; the log-sum-exp of the others knows it to any size."""
    v = vocabulary("bytes-large")
    gold = student_ids(v, "the fox")
    targets = align(certain(v, "the fox"), v, v, gold)
    tail = targets.tail.copy()
    tail[:] = 1e-3
    targets = replace(targets, tail=tail, probability=targets.probability - 1e-3)
    logits = torch.full((len(gold), v.size), 0.0)
    logits[torch.arange(len(gold)), torch.tensor(gold)] = 40.0  # tail of about 2e-15
    logits.requires_grad_()
    loss = kd_loss(logits, targets)
    assert loss.item() == pytest.approx(dense_loss(logits, targets).item(), rel=1e-4)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() < 1


@pytest.mark.parametrize("missing", ["all listed", "others impossible"])
def test_a_student_without_others_gives_finite_numbers(missing):
    v = vocabulary("bytes-small")
    gold = student_ids(v, "fox")
    logits = torch.randn(len(gold), v.size)
    targets = align(rows_from_logits(logits, gold, v, v.size, 0.0), v, v, gold)
    if missing == "others impossible":
        targets = align(certain(v, "fox"), v, v, gold)
        logits[:] = -torch.inf
        logits[torch.arange(len(gold)), torch.tensor(gold)] = 1.0
    logits.requires_grad_()
    loss = kd_loss(logits, targets)
    assert abs(loss.item()) < 1e-5
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(gradient).all()


def test_half_precision_is_computed_in_single():
    logits, targets = case()
    half = logits.bfloat16().requires_grad_()
    loss = kd_loss(half, targets)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(float(kd_loss(half.detach().float(), targets)), rel=1e-6)
    loss.backward()
    assert half.grad.dtype == torch.bfloat16


def test_in_pieces_as_at_once(monkeypatch):
    logits, targets = case()
    logits.requires_grad_()
    (at_once,) = torch.autograd.grad(kd_loss(logits, targets), logits)
    monkeypatch.setattr(distillation, "_CHUNK", 3 * logits.shape[1])
    (in_pieces,) = torch.autograd.grad(kd_loss(logits, targets), logits)
    torch.testing.assert_close(at_once, in_pieces, rtol=1e-6, atol=1e-9)


def test_a_batch_at_once_is_its_texts_one_by_one():
    t, s = vocabulary("bytes-large"), vocabulary("bytes-small")
    several = [CORPUS[0], "", CORPUS[4]]
    ids = [student_ids(s, text) for text in several]
    targets = [align(rows_of(t, text, i), t, s, own) for i, (text, own) in enumerate(zip(several, ids))]
    logits = torch.randn(sum(map(len, ids)), s.size, generator=torch.Generator().manual_seed(2))
    batch = joined(targets)
    used = torch.tensor([float(part.mask.sum()) for part in targets])
    each = [kd_loss(part, own) for part, own in zip(logits.split([len(i) for i in ids]), targets)]
    assert kd_loss(logits, batch).item() == pytest.approx(
        ((torch.stack(each) * used).sum() / used.sum()).item()
    )
    assert batch.masked_share == pytest.approx(1 - batch.mask.mean())
    assert batch.mapped_mass == pytest.approx(batch.probability.sum() / batch.mask.sum(), rel=1e-5)
