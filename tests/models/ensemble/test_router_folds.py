"""A router is held back, and its threshold set, by what it says of queries it was not fitted to."""

from functools import partial

import numpy as np
import pytest

from renga.errors import UsageError
from renga.models.ensemble.router import fit_router, on_one_scale, threshold_of
from renga.models.ensemble.router_folds import best_threshold, fit_by_folds, left_out
from tests.models.ensemble.test_route import known_domains

MEMBERS = ["a", "b", "c"]


def test_who_is_asked_by_folds_is_who_knows():
    features, rewards, domain = known_domains(90, width=40, noise=0.5)
    named = [str(each) for each in domain[:45]]
    found = fit_by_folds(features[:45], rewards[:45], MEMBERS, groups=named)
    assert found.left_out.shape == (45, 3) and np.allclose(found.left_out.sum(1), 1)
    assert (found.left_out.argmax(1) == domain[:45]).mean() > 0.8
    assert (found.router.pick(features[45:]) == domain[45:]).mean() > 0.8
    assert found.reward > 0


def test_what_is_left_out_tells_no_luck():
    rng = np.random.default_rng(0)
    features, rewards = rng.standard_normal((60, 80)), rng.standard_normal((60, 3))
    every = np.arange(60)
    scaled = on_one_scale(rewards)
    fitted = fit_router(features, rewards, MEMBERS, decay=1e-3).probabilities(features)
    said = left_out(features, rewards, MEMBERS, fit=partial(fit_router, decay=1e-3))
    assert scaled[every, fitted.argmax(1)].mean() > 0.9  # nothing but noise, learned by heart
    assert abs(scaled[every, said.argmax(1)].mean()) < 0.35
    with pytest.raises(UsageError, match="at least four"):
        left_out(features[:3], rewards[:3], MEMBERS)


def test_a_domain_of_large_rewards_drowns_no_other():
    rng = np.random.default_rng(0)
    features, rewards, domain = known_domains(80, members=2, noise=0.1)
    rewards[domain == 1] = 100 * rng.standard_normal((int((domain == 1).sum()), 2))  # nothing but noise
    groups = [str(each) for each in domain]
    scaled = on_one_scale(rewards, groups)
    assert all(np.abs(scaled[domain == each]).mean() == pytest.approx(1) for each in (0, 1))
    for named, sure in ((groups, True), (None, False)):
        fitted = fit_router(features, rewards, ["a", "b"], groups=named)
        assert (fitted.probabilities(features[domain == 0])[:, 0].mean() > 0.8) == sure


def test_the_threshold_that_does_best_with_the_fewest_calls():
    score = np.array([0.9, 0.8, 0.8, 0.3])
    weak, strong = np.array([0.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0, 1.0])
    assert best_threshold(score, weak, strong, 1.0) == 0.3
    assert best_threshold(score, weak, strong, 0.5) == 0.9  # the two of one score go over together
    assert best_threshold(score, weak, strong, 0.2) == np.inf
    assert best_threshold(score, strong, weak, 1.0) == np.inf
    assert [threshold_of(score, share) for share in (0.0, 0.25, 1.0)] == [np.inf, 0.9, 0.3]
