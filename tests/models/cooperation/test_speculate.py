"""Speculation: the target's own text for every drafter, the target's own law for the classic rule, and the
protocols that only look alike."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.errors import RengaError, UsageError
from renga.models.composed import absences
from renga.models.contract import Prompt, Sampling
from renga.models.cooperation.drafters import (
    _longest_suffix,
    _onwards,
    _places,
    either,
    lookup,
    ngram,
)
from renga.models.cooperation.pace import Costs, Pace
from renga.models.cooperation.rejection import kept_share, residual
from renga.models.cooperation.speculate import speculate
from renga.models.ensemble.fuse import fuse
from renga.models.generate import generate
from renga.models.noise import Place, chosen, gumbel, noise_at, token_keys
from tests.models.contract_checks import PROMPT, check_contract, usable
from tests.models.tiny_tokenizers import worded
from tests.models.toy import Toy

FIRST = worded("the", "them", "she", " on")
OTHER = worded("th", "there", "she", "hem", " one")
TARGET = Toy(FIRST, seed=1, end=1.0)
HOT = Sampling(temperature=1.0, seed=3, max_tokens=24)


class Scripted:
    """Drafts what a function of what was said gives."""

    def __init__(self, guess):
        self.guess = guess

    def start(self, prompt, vocabulary):
        return self

    def draft(self, said, count, sampling, place):
        return self.guess(said, count)

    def close(self):
        pass


def text(model, sampling, prompt=PROMPT):
    return list(generate(model, prompt, sampling))


def alone(sampling, target=TARGET):
    return text(target, sampling)


def nearly(seed):
    """A drafter that is the target, bent a little."""
    return fuse(TARGET, Toy(FIRST, seed=seed), weights=[0.7, 0.3])


HOT_TEXT = alone(HOT)
DRAFTERS = {
    "the target itself": lambda: TARGET,
    "one nearly as good": lambda: nearly(7),
    "a stranger": lambda: Toy(FIRST, seed=9),
    "another vocabulary": lambda: Toy(OTHER, seed=9),
    "lookup": lambda: lookup(),
    "ngram": lambda: ngram(3, ["them on the", "she"]),
    "either": lambda: either(lookup(), Toy(FIRST, seed=9)),
    "random": lambda: Scripted(lambda said, n: usable(TARGET, n, seed=len(said))),
    "adversarial": lambda: Scripted(lambda said, n: [*HOT_TEXT[len(said) :][: n - 1], 5]),
    "nothing": lambda: Scripted(lambda said, n: []),
    "the end, always": lambda: Scripted(lambda said, n: [FIRST.end] * n),
    "specials": lambda: Scripted(lambda said, n: sorted(FIRST.specials)[:n]),
    "a speculation": lambda: speculate(lookup(), nearly(8)),
}


@pytest.mark.parametrize("drafter", DRAFTERS)
def test_the_text_is_the_targets_alone(drafter):
    for sampling in (Sampling(max_tokens=24), HOT, Sampling(0.7, 0.9, 20, max_tokens=24, seed=4)):
        for length in (0, 3):
            model = speculate(DRAFTERS[drafter](), TARGET, length=length)
            assert text(model, sampling) == alone(sampling)
            assert not model.absences


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    temperature=st.sampled_from([0.0, 0.6, 1.0, 2.0]),
    length=st.integers(0, 8),
    tokens=st.integers(0, 12),
    end=st.sampled_from([-3.0, 2.0, 4.0]),
    bend=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_at_any_length_temperature_and_end(seed, temperature, length, tokens, end, bend):
    target = Toy(FIRST, seed=seed % 50, end=end)
    draft = fuse(target, Toy(FIRST, seed=99, end=end), weights=[1 - bend, bend])
    sampling = Sampling(temperature=temperature, seed=seed, max_tokens=tokens)
    model = speculate(draft, target, length=length)
    assert text(model, sampling) == alone(sampling, target)
    assert model.tally.passes <= max(1, len(alone(sampling, target)) + 1)


def test_with_the_target_as_its_own_drafter_all_is_agreed_with():
    model = speculate(TARGET, TARGET, length=4)
    said = text(model, HOT)
    assert model.tally.agreed == model.tally.drafted > 0
    assert model.tally.passes <= len(said) // 5 + 1
    assert model.tally.acceptance == 1.0


@pytest.mark.parametrize(
    "target",
    [
        lambda: fuse(TARGET, Toy(FIRST, seed=2)),
        lambda: fuse(TARGET, Toy(OTHER, seed=2), align="union"),
        lambda: fuse(TARGET, Toy(FIRST, seed=2), rule="geometric", when="disagree"),
        lambda: fuse(TARGET, Toy(OTHER, seed=2), align="bytes"),
    ],
)
def test_any_target(target):
    for sampling in (Sampling(max_tokens=10), Sampling(temperature=1.0, seed=5, max_tokens=10)):
        assert text(speculate(TARGET, target(), length=3), sampling) == text(target(), sampling)


def test_acceptance_of_a_fused_target_is_that_of_its_parts():
    """With rejection, 1 - λ(1 - α) where the draft is a member with weight 1 - λ; with shared noise less."""
    rng = np.random.default_rng(0)
    p, q = (torch.from_numpy(rng.dirichlet(np.full(FIRST.size, 0.1))) for _ in range(2))
    alpha = float(torch.minimum(p, q).sum())
    for share in (0.2, 0.5, 0.8):
        mixed = share * p + (1 - share) * q
        rejection = float((q * kept_share(mixed, q)).sum())
        assert rejection == pytest.approx(1 - share * (1 - alpha))
        keys = token_keys(FIRST)
        same = [
            int((mixed.log().numpy() + noise).argmax()) == int((q.log().numpy() + noise).argmax())
            for noise in (gumbel(keys, 1, Place(at)) for at in range(3000))
        ]
        shared = float(np.mean(same))
        assert (1 - (1 - rejection)) / (1 + (1 - rejection)) - 0.03 <= shared <= rejection + 0.03


def test_the_contract_is_the_targets():
    check_contract(speculate(Toy(FIRST, seed=9), TARGET))


# --------------------------------------------------------------------------------------- the classic rule


def laws(seed=0, size=8):
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.dirichlet(np.full(size, 0.5))) for _ in range(2)]


def law_of(p, q, keeps, refill):
    """The law of one token: what is kept of q, and what replaces the rest."""
    kept = q * keeps
    return kept + (1 - kept.sum()) * refill


@pytest.mark.parametrize("seed", range(20))
def test_the_classic_rule_has_the_targets_law_exactly(seed):
    p, q = laws(seed)
    assert torch.allclose(law_of(p, q, kept_share(p, q), residual(p, q)), p, rtol=0, atol=1e-12)
    assert torch.equal(residual(p, p), p)


def distance(p, law):
    return float((p - law).abs().sum() / 2)


def test_known_wrong_protocols_have_another_law():
    found: dict[str, list[float]] = {}
    for seed in range(20):
        p, q = laws(seed, size=50)
        best = q.topk(5).indices
        cut = torch.zeros_like(q).index_copy(0, best, q[best])
        ways = {
            # Kept by the whole q, replaced by what p has more than the few listed of it.
            "residual of the listed": (kept_share(p, q), residual(p, cut)),
            # The drafted token alone is taken out of p (averaged over which it was).
            "less the drafted token": (kept_share(p, q), _less_the_drafted(p, q)),
            # The listed made whole again, though the draft came from all.
            "renormalised": (kept_share(p, cut / cut.sum()) * (cut > 0), residual(p, cut / cut.sum())),
            # What isn't listed is let through.
            "unlisted pass": (torch.where(cut > 0, kept_share(p, q), 1.0), residual(p, q)),
        }
        for name, (keeps, refill) in ways.items():
            found.setdefault(name, []).append(distance(p, law_of(p, q, keeps, refill)))
        # Right: drawn from the listed, kept and replaced by the same.
        own = cut / cut.sum()
        assert distance(p, law_of(p, own, kept_share(p, own), residual(p, own))) < 1e-12
    assert all(np.mean(values) > 0.01 for values in found.values()), found


def _less_the_drafted(p, q):
    refused = q * (1 - kept_share(p, q))
    whole = torch.zeros_like(p)
    for id in range(len(p)):
        rest = p.clone()
        rest[id] = 0
        whole += refused[id] / refused.sum() * rest / rest.sum()
    return whole


def test_known_wrong_one_noise_for_two_places_ties_them():
    """Two tokens of one law: with the same noise at both places the second is always the first."""
    row = Toy(FIRST, seed=2).row(Prompt("a"), [])
    hot = [Sampling(temperature=1.0, seed=seed) for seed in range(300)]
    tied = [chosen(row, FIRST, s, Place(0)) == chosen(row, FIRST, s, Place(0)) for s in hot]
    free = [chosen(row, FIRST, s, Place(0)) == chosen(row, FIRST, s, Place(3)) for s in hot]
    assert np.mean(tied) == 1.0 > 3 * np.mean(free)


def counted(model, count, tokens=2):
    found: dict[tuple[int, ...], int] = {}
    for seed in range(count):
        said = tuple(text(model, Sampling(temperature=1.0, seed=seed, max_tokens=tokens)))
        found[said] = found.get(said, 0) + 1
    return found


def test_by_rejection_answers_have_the_targets_law():
    small = worded("the")
    target = Toy(small, seed=1, sharp=5.0)
    draft = fuse(target, Toy(small, seed=2, sharp=5.0))
    n = 1500
    got = counted(speculate(draft, target, length=2, accept="rejection"), n)
    chi, degrees, rest = 0.0, -1, 1.0
    first = target.row(PROMPT, []).exp()
    for a in first.topk(8).indices.tolist():
        second = target.row(PROMPT, [a]).exp()
        for b in second.topk(8).indices.tolist():
            expected = n * float(first[a] * second[b])
            if a in small.specials or b in small.specials or expected < 6:
                continue
            chi += (got.get((a, b), 0) - expected) ** 2 / expected
            degrees += 1
            rest -= expected / n
    assert degrees > 5 and rest < 0.7
    assert chi < degrees + 4 * np.sqrt(2 * degrees)


def test_by_rejection_more_is_agreed_with_than_by_noise():
    draft = nearly(7)
    shares = []
    for accept in ("shared", "rejection"):
        model = speculate(draft, TARGET, length=3, accept=accept)
        for seed in range(25):
            text(model, Sampling(temperature=1.0, seed=seed, max_tokens=20))
        shares.append(model.tally.acceptance)
    assert 0.4 < shares[0] <= shares[1] + 0.05


def test_greedy_by_rejection_is_greedy():
    model = speculate(nearly(7), TARGET, length=3, accept="rejection")
    assert text(model, Sampling(max_tokens=20)) == alone(Sampling(max_tokens=20))


# ------------------------------------------------------------------------------------------ how far ahead


def test_the_pace_follows_what_pays():
    def settled(agrees, draft, check, more, longest=8):
        rng, pace = np.random.default_rng(0), Pace(longest)
        lengths = []
        for _ in range(200):
            n = pace.length()
            kept = next((i for i in range(n) if rng.random() > agrees), n)
            pace.note(n, kept, n * draft, check + n * more)
            lengths.append(n)
        return np.mean(lengths[100:])

    assert settled(0.95, 0.01, 1.0, 0.01) > 6  # good and cheap guesses, dear checks
    assert settled(0.1, 0.01, 1.0, 0.01) < settled(0.9, 0.01, 1.0, 0.01)
    assert settled(0.3, 1.0, 1.0, 0.5) < 1  # guesses as dear as the target
    assert settled(0.8, 0.1, 5.0, 0.1) >= settled(0.8, 0.1, 0.5, 0.1)  # a journey makes it guess farther


def test_what_one_answer_taught_the_next_one_knows():
    costs = Costs()
    for _ in range(40):
        pace = Pace(8, costs)
        pace.note(4, 0, 99.0, 99.0)  # a prompt is read: no sign of what a guess takes
        pace.note(pace.length(), 0, 0.4, 1.0)
    assert costs.draft < 1
    assert Pace(8, costs).length() <= 1  # never agreed with
    for _ in range(40):
        pace = Pace(8, costs)
        pace.note(1, 1, 0.1, 1.0)
        pace.note(2, 2, 0.2, 1.0)
    assert Pace(8, costs).length() > 4


def test_where_the_target_is_dear_more_is_drafted():
    costs = Costs()
    for n in (1, 2, 3, 4) * 5:
        costs.note(n, n * 1.0, 1.0 + n * 0.05)
    lengths = [Pace(8, costs, own).length() for own in (1.0, 0.25, 0.0)]
    assert lengths == sorted(lengths) and lengths[0] <= 1 < 2 <= lengths[1] < lengths[2]
    far = Costs()
    for n in (1, 2, 3, 4) * 5:
        far.note(n, n * 1.0, 4.0 + n * 0.05)
    assert Pace(8, far, 0.25).length() > lengths[1]  # a journey makes it guess farther


def test_a_dear_drafter_does_not_keep_a_free_one_from_drafting():
    def slowly(said, n):
        time.sleep(0.004 * n)
        return sorted(FIRST.specials)[:n]

    knows = Scripted(lambda said, n: HOT_TEXT[len(said) :][:n] if len(said) % 4 else [])
    model = speculate(either(knows, Scripted(slowly)), TARGET)
    for _ in range(8):
        assert text(model, HOT) == HOT_TEXT
    free, dear = model.costs
    assert free.checks is dear.checks
    assert free.hits.shares()[0] > 0.9 > 0.3 > dear.hits.shares()[0]
    assert Pace(8, dear).length() == 0 < Pace(8, free).length()


def test_an_end_refuses_nothing():
    told, untold = Costs(), Costs()
    Pace(8, told).note(4, 2, 0.1, 1.0, ended=True)
    Pace(8, untold).note(4, 2, 0.1, 1.0)
    assert sum(told.hits.tries) < sum(untold.hits.tries)


def test_copies_are_right_for_long_or_not_at_all():
    costs = Costs(16)
    for n in (1, 4, 8) * 5:
        costs.note(n, 0.0, 1.0 + n * 0.1)
    pace = Pace(16, costs)
    for step in range(60):
        pace.note(16, 16 if step % 4 == 0 else 0, 0.0, 2.6)
    assert pace.length() > 8  # though three in four are refused at once


def test_only_a_target_elsewhere_is_dear():
    class Elsewhere(Toy):
        dial = None

    far = Elsewhere(FIRST, seed=1)
    assert speculate(lookup(), TARGET).own == 1.0
    assert speculate(lookup(), far).own == speculate(TARGET, fuse(TARGET, far, rows=0)).own < 1.0


@pytest.mark.parametrize(
    ("prompt", "said", "ahead"),
    [
        ("she is on the them on", "x on the", " them on"),
        ("them on the moon", "on the", " moon"),  # with a space before it there, and none here
        ("on the sun. on the moon. on the sun.", "on the", " sun"),  # what is found most often
        ("", "abc abc ab", "c abc abc"),  # what goes round goes on
        ("them", "q", ""),
        ("them", "", ""),
        ("", "", ""),
    ],
)
def test_lookup_goes_on_as_the_prompt_did(prompt, said, ahead):
    drafts = lookup().start(Prompt(prompt), FIRST).draft(FIRST.encode(said), 4, HOT, Place())
    wanted = FIRST.encode(ahead)[:4]
    assert drafts[: len(wanted)] == wanted if wanted else not drafts


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=30), st.binary(max_size=12), st.integers(1, 9), st.integers(1, 9))
def test_the_longest_suffix_is_found(before, last, most, count):
    text = before + last
    found = _longest_suffix(text, most)
    stands = [n for n in range(1, min(most, len(text) - 1) + 1) if text[-n:] in text[:-1]]
    assert found == max(stands, default=0)
    if found:
        places = list(_places(text, found))
        assert places == sorted(places, reverse=True)
        assert all(text[at - found : at] == text[-found:] and at < len(text) for at in places)
        assert len(_onwards(text, places[0], count)) == count


def test_ngrams_learn_from_what_was_said():
    drafter = ngram(2)
    drafting = drafter.start(PROMPT, FIRST)
    ids = FIRST.encode("them on")
    drafting.draft(ids, 1, HOT, Place())
    drafting.close()
    again = drafter.start(PROMPT, FIRST)
    assert again.draft(ids[:1], 1, HOT, Place()) == ids[1:2]


# ----------------------------------------------------------------------------------------------- bad input


def test_a_drafter_that_fails_costs_speed_alone():
    class Broken(Scripted):
        def draft(self, said, count, sampling, place):
            if len(said) > 3:
                raise RengaError("the drafter is gone")
            return usable(TARGET, count)

    model = speculate(Broken(None), TARGET, length=3)  # a length of its own choice depends on the clock
    assert text(model, HOT) == alone(HOT)
    assert "gone" in str(absences(model)[0])


def test_what_does_not_fit_is_said_before_anything_runs():
    for make, said in (
        (lambda: speculate(lookup(), TARGET, accept="rejection"), "model that drafts"),
        (lambda: speculate(Toy(OTHER), TARGET, accept="rejection"), "target's vocabulary"),
        (lambda: speculate(TARGET, TARGET, length=99), "1 to 64"),
    ):
        with pytest.raises(UsageError, match=said):
            make()


def test_noise_is_kept_as_it_was_drawn():
    assert not noise_at(FIRST, 1, Place()).flags.writeable
