"""Noise: one per token and place, the same in every vocabulary; sampling by it has the model's own law."""

import numpy as np
import pytest
import torch

from renga.models.contract import Full, Prompt, Sampling, Verify
from renga.models.local import LocalModel
from renga.models.noise import Place, chosen, gumbel, token_keys
from renga.models.sampling import restricted
from tests.models.tiny_weights import some_ids, tiny


@pytest.fixture(scope="module")
def model():
    return LocalModel(tiny("gpt2 in float64"))


def test_no_two_tokens_or_places_share_noise(model):
    keys = token_keys(model.vocabulary)
    places = [Place(0), Place(1), Place(1, 1), Place(2**40), Place(0, 2)]
    noise = np.stack([gumbel(keys, seed, place) for seed in (0, 1, 2**63) for place in places])
    assert len(np.unique(noise)) == noise.size
    assert np.isfinite(noise).all()


def test_the_same_bytes_have_the_same_noise_in_another_vocabulary(model):
    other = tiny("gemma3").vocabulary
    mine, theirs = token_keys(model.vocabulary), token_keys(other)
    ids = {model.vocabulary.token_bytes(id): id for id in reversed(range(model.vocabulary.size))}
    shared = [(ids[text], id) for id in range(other.size) if (text := other.token_bytes(id)) in ids and text]
    first = next(id for id in range(other.size) if other.token_bytes(id) == b"e")
    assert len(shared) > 20 and mine[ids[b"e"]] == theirs[first]


def test_it_is_gumbel(model):
    noise = np.concatenate([gumbel(token_keys(model.vocabulary), 3, Place(i)) for i in range(2000)])
    assert abs(noise.mean() - np.euler_gamma) < 0.01
    assert abs(noise.var() - np.pi**2 / 6) < 0.02


@pytest.mark.parametrize("cut", [{}, {"temperature": 0.5}, {"top_k": 5}, {"top_p": 0.7}])
def test_over_the_seeds_the_law_is_the_models(model, cut):
    row = torch.randn(model.vocabulary.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    row = (2 * row).log_softmax(-1)
    n = 20_000
    counts = np.zeros(len(row))
    keys = token_keys(model.vocabulary)
    sampling = Sampling(**{"temperature": 1.0, **cut})
    law = restricted(row, sampling).numpy()
    for seed in range(n):
        counts[int((law + gumbel(keys, seed, Place(7))).argmax())] += 1
    expected = np.exp(law) * n
    seen = expected > 5
    chi = ((counts - expected)[seen] ** 2 / expected[seen]).sum()
    degrees = seen.sum() - 1
    assert chi < degrees + 5 * np.sqrt(2 * degrees)
    assert counts[expected == 0].sum() == 0


def test_noise_shared_by_two_tokens_would_bend_the_law():
    # Three equals, two of which share their noise: the third is picked half of the time instead of a third.
    rng = np.random.default_rng(0)
    pair, third = rng.gumbel(size=(2, 20_000))
    assert abs((third > pair).mean() - 1 / 2) < 0.02


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.0, seed=5)])
def test_the_text_depends_on_the_target_alone(model, sampling):
    def text(drafts):
        session, place = model.open_ids([2, 3, 4]), Place()
        out: list[int] = []
        pending: list[int] = []
        while len(out) < 24:
            drafted = drafts(out)
            got = session.feed(pending + drafted, Verify(sampling, place.offset, place.silent)).ids.tolist()
            assert got[: len(pending)] == pending
            assert session.length == len(out) - len(pending) + len(got) - 1
            new = got[len(pending) :]
            for id in pending + new[:-1]:
                place = place.after(model.vocabulary, id)
            out += new
            if out[-1] in model.vocabulary.specials:
                break
            pending = [out[-1]]
        return out[:24]

    alone = text(lambda out: [])
    oracle = text(lambda out: alone[len(out) : len(out) + 4])
    noisy = text(lambda out: alone[len(out) : len(out) + 2] + some_ids(model.weights, 3, seed=len(out)))
    wrong = text(lambda out: some_ids(model.weights, 3, seed=len(out)))
    assert alone == oracle == noisy == wrong
    # And it is what the rows say, one by one.
    session, place = model.open_ids([2, 3, 4]), Place()
    for at, id in enumerate(alone):
        row = session.feed(alone[at - 1 : at], Full()).logp[-1]
        assert chosen(row, model.vocabulary, sampling, place) == id
        place = place.after(model.vocabulary, id)


def test_a_special_ends_what_is_verified(model):
    end = model.vocabulary.end
    session = model.open(Prompt("a"))
    rows = session.feed([]).logp
    assert rows.shape[1] == model.vocabulary.size and end in model.vocabulary.specials
