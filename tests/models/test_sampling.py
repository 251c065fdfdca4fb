"""Tokens are picked by the law that the settings name."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.models.contract import Sampling
from renga.models.sampling import pick, restricted

ROW = torch.tensor([0.35, 0.05, 0.3, 0.1, 0.2]).log()


def law(row, temperature=1.0, top_k=0, top_p=1.0):
    """The probabilities that are meant, by plain means."""
    p = torch.softmax(row.double() / temperature, 0).tolist()
    order = sorted(range(len(p)), key=lambda i: -p[i])
    kept = order[:top_k] if top_k else order
    total, mass = sum(p[i] for i in kept), 0.0
    nucleus: list[int] = []
    for i in kept:
        if nucleus and mass / total >= top_p:
            break
        nucleus.append(i)
        mass += p[i]
    return [p[i] / mass if i in nucleus else 0.0 for i in range(len(p))]


@pytest.mark.parametrize(
    "how",
    [
        {"temperature": 1.0},
        {"temperature": 0.5},
        {"temperature": 3.0},
        {"temperature": 1.0, "top_k": 3},
        {"temperature": 0.7, "top_p": 0.8},
        {"temperature": 2.0, "top_k": 4, "top_p": 0.75},
    ],
)
def test_picks_follow_the_law(how):
    """Pearson's chi-square below its quantile at 1e-3; the seed is fixed, so this passes always or never."""
    count = 40_000
    generator = torch.Generator().manual_seed(1)
    picked = pick(ROW.expand(count, -1), Sampling(**how), generator)
    seen = torch.bincount(picked, minlength=len(ROW)).tolist()
    expected = [count * p for p in law(ROW, **how)]
    assert all(n == 0 for n, e in zip(seen, expected, strict=True) if e == 0)
    statistic = sum((n - e) ** 2 / e for n, e in zip(seen, expected, strict=True) if e > 0)
    quantile = {2: 10.83, 3: 13.82, 4: 16.27, 5: 18.47}[sum(e > 0 for e in expected)]
    assert statistic < quantile


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 1000),
    temperature=st.sampled_from([0.3, 1.0, 2.5]),
    top_k=st.integers(0, 12),
    top_p=st.floats(0.05, 1.0),
)
def test_what_is_cut_is_cut(seed, temperature, top_k, top_p):
    row = torch.randn(9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).log_softmax(0)
    how = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    ours = restricted(row, Sampling(**how)).exp()
    assert torch.allclose(ours, torch.tensor(law(row, **how), dtype=torch.float64), atol=1e-9)


def test_temperature_zero_is_the_best_whatever_else_is_set():
    for how in ({}, {"top_k": 1}, {"top_p": 0.0}, {"top_k": 2, "top_p": 0.3}):
        picked = pick(torch.stack([ROW, ROW.flip(0)]), Sampling(temperature=0.0, **how), torch.Generator())
        assert picked.tolist() == [0, 4]


@pytest.mark.parametrize(
    "how", [{"top_k": 1}, {"top_p": 0.0}, {"top_p": 1e-9}, {"temperature": 1e-3}, {"temperature": 1e-45}]
)
def test_what_leaves_one_token_leaves_the_best(how):
    for row in (ROW, ROW - 3.0):  # a row need not be normalised
        picked = pick(row.expand(200, -1), Sampling(**{"temperature": 1.0} | how), torch.Generator())
        assert picked.unique().tolist() == [0]


def test_cuts_that_cut_nothing_change_nothing():
    for how in ({"top_k": 5}, {"top_k": 10**9}, {"top_p": 1.0}, {"top_k": 0}):
        assert torch.allclose(restricted(ROW, Sampling(temperature=1.0, **how)), ROW.log_softmax(0))


def test_of_equals_no_more_than_k_are_kept():
    row = torch.zeros(8).log_softmax(0)
    assert int((restricted(row, Sampling(temperature=1.0, top_k=3)) > -torch.inf).sum()) == 3


def test_a_seed_is_a_choice():
    rows = ROW.expand(50, -1)
    how = Sampling(temperature=1.0)
    first, again, other = (pick(rows, how, torch.Generator().manual_seed(s)).tolist() for s in (3, 3, 4))
    assert first == again != other
