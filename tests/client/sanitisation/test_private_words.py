"""The exact law of the mechanism on a toy vocabulary, and what is claimed of a whole text."""

import itertools
import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renga.client.sanitisation.private_words import FARTHEST, Mechanism, unit
from renga.errors import UsageError

WORDS = ("red", "green", "blue", "seven", "nine")
POINTS = np.stack([unit(row) for row in np.random.default_rng(3).normal(size=(5, 4))])


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0.01, 30),
    st.lists(st.floats(-1, 1), min_size=4, max_size=4),
    st.lists(st.floats(-1, 1), min_size=4, max_size=4),
)
def test_no_outcome_tells_two_words_apart_by_more_than_their_distance_allows(epsilon, one, other):
    mechanism = Mechanism(WORDS, POINTS, epsilon)
    x, y = unit(np.array(one)), unit(np.array(other))
    ratios = mechanism.law(x) / mechanism.law(y)
    assert math.isclose(mechanism.law(x).sum(), 1.0)
    assert ratios.max() <= math.exp(epsilon * np.linalg.norm(x - y)) * (1 + 1e-6)


def test_without_the_half_the_bound_would_be_broken():
    x, y, epsilon = POINTS[0], POINTS[1], 4.0
    twice = Mechanism(WORDS, POINTS, 2 * epsilon)  # what leaving out the 2 would do
    assert (twice.law(x) / twice.law(y)).max() > math.exp(epsilon * np.linalg.norm(x - y))


def test_the_law_is_the_one_that_is_written_down():
    mechanism = Mechanism(WORDS, POINTS, 3.0)
    for x in POINTS:
        weights = [math.exp(-3.0 * np.linalg.norm(x - y) / 2) for y in POINTS]
        assert np.allclose(mechanism.law(x), np.array(weights) / sum(weights))


def test_draws_follow_the_law():
    mechanism, dice = Mechanism(WORDS, POINTS, 3.0), Random(5)
    drawn = [mechanism.draw(POINTS[2], dice) for _ in range(20_000)]
    law = mechanism.law(POINTS[2])
    square = sum(
        (drawn.count(word) - 20_000 * p) ** 2 / (20_000 * p) for word, p in zip(WORDS, law, strict=True)
    )
    assert square < 18.5  # chi square, 4 degrees of freedom, p = 0.001


def test_a_text_composes_word_by_word_exactly():
    mechanism = Mechanism(WORDS, POINTS, 1.5)
    one, other = (0, 1), (3, 4)
    worst = max(
        math.prod(
            mechanism.law(POINTS[a])[y] / mechanism.law(POINTS[b])[y]
            for a, b, y in zip(one, other, out, strict=True)
        )
        for out in itertools.product(range(5), repeat=2)
    )
    said = mechanism.perturb("red green", lambda word: POINTS[WORDS.index(word)], Random(1))
    assert said.words == 2 and said.epsilon == 2 * FARTHEST * 1.5
    assert worst <= math.exp(said.epsilon)


def test_nothing_of_the_text_stays_but_its_length_and_marks():
    mechanism = Mechanism(WORDS, POINTS, 0.1)
    said = mechanism.perturb("Call Jane (№ 415-555)!\nNow?", lambda word: POINTS[0], Random(2))
    assert said.words == 5
    assert set(said.text) <= set("".join(WORDS)) | set(" !\n?")


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("inf"), float("nan")])
def test_a_mechanism_that_promises_nothing_is_refused(epsilon):
    with pytest.raises(UsageError):
        Mechanism(WORDS, POINTS, epsilon)


def test_vectors_must_be_of_length_one_for_the_bound():
    with pytest.raises(UsageError):
        Mechanism(WORDS, POINTS * 2, 1.0)
