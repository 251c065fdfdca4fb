"""Contrast, layers and steering: their formulas, their limits, and that what they make is a model."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.errors import UsageError
from renga.models.composed import Places
from renga.models.contract import Prompt, Sampling, Scores, TopK, Verify
from renga.models.cooperation.contrast import Contrast, contrast, plausible
from renga.models.cooperation.layers import divergence, dola, farthest, view
from renga.models.cooperation.steer import Offset, Steering, dexperts, offsets, steer
from renga.models.generate import generate
from renga.models.local import LocalModel
from tests.models.tiny_weights import random_adapter, some_ids, tiny

NOWHERE = Places(Prompt(""), (), ())
PROMPT = Prompt("Who counts?")


def rows(seed, places=3, size=12):
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(places, size, generator=generator, dtype=torch.float64)).log_softmax(-1)


def fed(session, ids):
    """The rows behind each of `ids`."""
    return session.feed(ids).logp


def said(model, ids):
    return fed(model.open(PROMPT), ids)


@pytest.fixture(scope="module")
def family():
    weights = tiny("starcoder2 in float64")
    adapters = [None, random_adapter(weights, 1), random_adapter(weights, 2)]
    return [LocalModel(weights, adapter) for adapter in adapters]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 3), st.floats(0.01, 1.0))
def test_contrast_is_its_formula_over_the_plausible(seed, strength, beta):
    expert, amateur = rows(seed), rows(seed + 1)
    out = Contrast(strength, beta)([expert, amateur], NOWHERE)
    for place in range(3):
        kept = [x for x in range(12) if expert[place, x] >= expert[place].max() + math.log(beta)]
        scores = {x: math.exp((1 + strength) * expert[place, x] - strength * amateur[place, x]) for x in kept}
        for x in range(12):
            assert out[place, x].exp().item() == pytest.approx(
                scores.get(x, 0) / sum(scores.values()), abs=1e-9
            )
    assert plausible(expert, beta).any(-1).all()


def test_limits_of_contrast():
    expert, amateur = rows(0), rows(1)
    assert torch.allclose(Contrast(0.0, 1e-9)([expert, amateur], NOWHERE), expert, atol=1e-6)
    shifted = Contrast(0.7)([expert, expert], NOWHERE)  # an amateur that is the expert changes no order
    assert torch.equal(shifted.argmax(-1), expert.argmax(-1))
    one = Contrast(plausibility=1.0)([expert, amateur], NOWHERE)
    assert torch.equal(one.exp().round(), torch.nn.functional.one_hot(expert.argmax(-1), 12).double())
    barred = amateur.clone()
    barred[:, expert[0].argmax()] = -torch.inf
    assert torch.isfinite(Contrast()([expert, barred], NOWHERE).exp()).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_the_divergence_is_symmetric_bounded_and_not_the_one_of_the_authors_code(seed):
    one, other = rows(seed), rows(seed + 1)
    found = divergence(one, other)
    assert torch.allclose(found, divergence(other, one))
    assert (found >= 0).all() and (found <= math.log(2) + 1e-12).all()
    assert torch.allclose(divergence(one, one), torch.zeros(3, dtype=torch.float64), atol=1e-12)
    p, q = one.exp(), other.exp()
    m = (p + q) / 2
    assert torch.allclose(found, ((p * (p / m).log()).sum(-1) + (q * (q / m).log()).sum(-1)) / 2)


def test_the_wrong_divergence_would_pick_other_layers():
    def wrong(one, other):  # KL(middle to each): what the code of the paper computes
        middle = torch.logaddexp(one, other) - math.log(2)
        return ((middle.exp() * (middle - one)).sum(-1) + (middle.exp() * (middle - other)).sum(-1)) / 2

    picks = []
    for seed in range(60):
        last, early = rows(seed), [rows(1000 * (i + 1) + seed) for i in range(4)]
        picks.append([torch.stack([d(last, e) for e in early]).argmax(0) for d in (divergence, wrong)])
    assert any(not torch.equal(a, b) for a, b in picks)
    assert any(wrong(rows(s), 4 * rows(s + 1)).max() > math.log(2) for s in range(20))


@pytest.mark.parametrize("kind", ["llama", "gemma3", "gpt2 in float64", "lfm2"])
def test_the_last_layer_as_a_view_is_the_model(kind):
    model = LocalModel(tiny(kind))
    count = model.weights.model.config.num_hidden_layers
    ids = some_ids(model.weights, 6)
    whole, viewed = said(model, ids), said(view(model, count), ids)
    assert torch.allclose(whole, viewed, atol=1e-5)
    earlier = view(model, count - 1).open(PROMPT)
    first = fed(earlier, ids)
    assert not torch.allclose(whole, first, atol=1e-3)
    earlier.rewind(0)
    assert torch.allclose(
        torch.cat([fed(earlier, []), *(fed(earlier, [i])[1:] for i in ids)]), first, atol=1e-4
    )


def test_dola_in_one_pass_is_the_contrast_of_views(family):
    model = family[1]
    ids = some_ids(model.weights, 5)
    one = dola(model, layers=[1])
    two = contrast(model, view(model, 1), ratio=True)
    assert torch.allclose(said(one, ids), said(two, ids), atol=1e-9)
    many = said(dola(model, layers=[0, 1]), ids)
    early = [said(view(model, j), ids) for j in (0, 1)]
    assert torch.allclose(many, farthest(said(model, ids), early, 0.1), atol=1e-9)
    before = model.meter.passes
    dola(model, layers="low").open(PROMPT).feed(ids)
    assert model.meter.passes == before + 1


def test_rows_that_name_no_token_are_no_part_of_dola():
    model = LocalModel(tiny("gemma3"))  # 400 rows, fewer tokens
    assert model.weights.model.config.vocab_size > model.vocabulary.size
    ids = some_ids(model.weights, 3)
    found = said(dola(model, layers=[2, 4]), ids)
    assert found.shape == (4, model.vocabulary.size)
    early = [said(view(model, j), ids) for j in (2, 4)]
    assert torch.allclose(found, farthest(said(model, ids), early, 0.1), atol=1e-4)


def test_layers_that_can_not_be_read():
    with pytest.raises(UsageError, match=r"layers \[3\]"):
        view(LocalModel(tiny("llama")), 3)
    with pytest.raises(UsageError, match="can't be read"):
        view(LocalModel(tiny("gemma2")), 1)
    with pytest.raises(UsageError, match="middle"):
        dola(LocalModel(tiny("llama")), layers="middle")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(-2, 3))
def test_steering_is_one_softmax_over_the_sum(seed, strength):
    base, tuned, untuned = rows(seed), rows(seed + 1), rows(seed + 2)
    out = Steering(strength)([base, tuned, untuned], NOWHERE)
    shifted = [row + constant for row, constant in zip((base, tuned, untuned), (1.0, -7.0, 3.0))]
    logits = shifted[0] + strength * (shifted[1] - shifted[2])  # as logits, of any constant
    assert torch.allclose(out, logits.log_softmax(-1), atol=1e-9)


def test_limits_of_steering(family):
    base, tuned, untuned = family
    ids = some_ids(base.weights, 6)

    assert torch.allclose(said(steer(base, tuned, untuned, strength=0), ids), said(base, ids), atol=1e-9)
    assert torch.allclose(
        said(steer(untuned, tuned, untuned), ids), said(tuned, ids), atol=1e-9
    )  # the exact case
    apart = steer(base, offsets(tuned, untuned, plausibility=1e-12))
    assert torch.allclose(said(apart, ids), said(steer(base, tuned, untuned), ids), atol=1e-9)
    cut = said(dexperts(base, tuned, untuned), ids)
    assert (cut == -torch.inf).any() and torch.allclose(cut.exp().sum(-1), torch.ones(7, dtype=torch.float64))


def test_offsets_leave_alone_what_neither_holds_plausible():
    tuned, untuned = rows(3), rows(4)
    out = Offset(0.5)([tuned, untuned], NOWHERE)
    idle = ~(plausible(tuned, 0.5) | plausible(untuned, 0.5))
    for place in range(3):
        assert len(set(out[place][idle[place]].tolist())) == 1


def test_a_truncated_base_is_by_definition_the_target(family):
    base, tuned, untuned = family
    model = steer(base, tuned, untuned, wants=[TopK(8), TopK(320), TopK(320)])
    session = model.open(PROMPT)
    ids = some_ids(base.weights, 4)
    logp = fed(session, ids)
    scored = (
        steer(base, tuned, untuned, wants=[TopK(8), TopK(320), TopK(320)]).open(PROMPT).feed(ids, Scores())
    )
    assert scored.scores is not None
    assert torch.allclose(scored.scores, logp[:-1].gather(1, torch.tensor(ids)[:, None])[:, 0])
    assert not torch.allclose(logp, said(steer(base, tuned, untuned), ids), atol=1e-3)


@pytest.mark.parametrize("make", [
    lambda a, b, c: contrast(a, b),
    lambda a, b, c: steer(a, b, c),
    lambda a, b, c: contrast(steer(a, b, c), view(a, 1)),
    lambda a, b, c: dola(b, layers=[0, 1]),
])  # fmt: skip
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_what_they_make_verifies_what_it_says(family, make, temperature):
    model = make(*family)
    sampling = Sampling(temperature=temperature, max_tokens=12, seed=5)
    alone = list(generate(model, PROMPT, sampling))
    session = model.open(PROMPT)
    emitted = session.feed(alone, Verify(sampling)).ids
    assert emitted is not None and emitted.tolist()[: len(alone)] == alone
    fresh = said(model, alone)
    session.rewind(2)
    assert torch.allclose(fed(session, alone[2:]), fresh[2:], atol=1e-9)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda a, b, c: contrast(a, b, strength=-1), "strength"),
        (lambda a, b, c: contrast(a, b, strength=math.nan), "strength"),
        (lambda a, b, c: contrast(a, b, plausibility=0), "plausibility"),
        (lambda a, b, c: contrast(a, LocalModel(tiny("gemma3"))), "another vocabulary"),
        (lambda a, b, c: steer(a, b, c, strength=math.inf), "finite"),
        (lambda a, b, c: steer(a, b, c, top_p=0), "top_p"),
    ],
)
def test_numbers_and_members_that_do_not_fit(family, call, why):
    with pytest.raises(UsageError, match=why):
        call(*family)
