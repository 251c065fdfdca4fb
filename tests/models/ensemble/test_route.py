"""Routers, bandits, reward heads, and the numbers that say how good they are."""

import numpy as np
import pytest
import torch

from renga.errors import RengaError, UsageError
from renga.models.contract import Prompt, Sampling
from renga.models.ensemble.bandit import Bandit
from renga.models.ensemble.curves import aiq, apgr, best_of_n, cpt, curve
from renga.models.ensemble.features import CHEAP, answer_features, prompt_features
from renga.models.ensemble.fuse import fuse
from renga.models.ensemble.reward import Heads, fit_heads, put_together, reward
from renga.models.ensemble.route import Routed, route
from renga.models.ensemble.router import Router, fit_router
from renga.models.generate import answer
from renga.models.local import LocalModel
from renga.models.responders import answer_by
from tests.models.contract_checks import PROMPT, check_contract, fresh, usable
from tests.models.tiny_tokenizers import worded
from tests.models.tiny_weights import tiny
from tests.models.toy import Toy

HOW = Sampling(max_tokens=6)


def known_domains(count=120, width=20, members=3, noise=0.3, seed=0):
    """Queries of as many domains as there are members, each known to one of these."""
    rng = np.random.default_rng(seed)
    domain = rng.integers(members, size=count)
    features = 0.7 * rng.standard_normal((count, width))
    features[np.arange(count), domain] += 3
    rewards = noise * rng.standard_normal((count, members)) + 1.0 * (domain[:, None] == np.arange(members))
    return features, rewards, domain


def test_a_router_finds_who_knows():
    features, rewards, domain = known_domains()
    router = fit_router(features[:60], rewards[:60], ["a", "b", "c"], groups=[str(d) for d in domain[:60]])
    assert (router.pick(features[60:]) == domain[60:]).mean() > 0.9
    p = router.probabilities(features)
    assert np.allclose(p.sum(1), 1) and p.shape == (120, 3)


def test_two_members_learn_as_good_as():
    features, rewards, domain = known_domains(members=2)
    router = fit_router(features, rewards, ["small", "large"])
    soft = router.probabilities(features)[:, 1]
    assert soft[domain == 1].mean() > 0.7 > 0.3 > soft[domain == 0].mean()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_a_threshold_keeps_to_a_share_of_calls(share):
    features, rewards, _ = known_domains()
    router = fit_router(features, rewards, ["a", "b", "server"]).calibrated(features, share)
    assert (router.pick(features) == 2).mean() == pytest.approx(share, abs=0.01)


def test_a_router_is_kept_as_it_is(tmp_path):
    features, rewards, _ = known_domains(20)
    router = fit_router(features, rewards, ["a", "b", "c"]).calibrated(features, 0.5)
    router.save(tmp_path / "r.safetensors")
    again = Router.load(tmp_path / "r.safetensors")
    assert again.members == router.members and again.threshold == router.threshold
    assert np.array_equal(again.pick(features), router.pick(features))
    (tmp_path / "x").write_bytes(b"no router")
    with pytest.raises(RengaError, match="no router"):
        Router.load(tmp_path / "x")
    with pytest.raises(UsageError, match="there is no router"):
        Router.load(tmp_path / "none")


def constant(*p):
    """A router that always says the same."""
    n = len(p)
    logits = np.log(np.array(p))
    return Router(tuple("abcdef"[:n]), np.zeros(1), np.ones(1), np.zeros((1, n)), logits)


def routed(models, *p, top=1):
    return Routed(models, constant(*p), lambda text: np.zeros(1), top)


def test_routing_to_one_is_that_one_and_to_all_is_the_mean_by_the_routers_weights():
    models = [Toy(seed=seed) for seed in range(3)]
    ids = usable(models[0], 5)
    one = routed(models, 0.2, 0.7, 0.1)
    assert torch.allclose(fresh(one, ids), fresh(models[1], ids))
    assert one.asked == [0, 1, 0] and one.last == [(1, 1.0)]
    assert torch.allclose(
        fresh(routed(models, 0.2, 0.7, 0.1, top=3), ids), fresh(fuse(*models, weights=[0.2, 0.7, 0.1]), ids)
    )
    two = routed(models, 0.2, 0.6, 0.2, top=2)
    assert torch.allclose(fresh(two, ids), fresh(fuse(models[0], models[1], weights=[1, 3]), ids))
    check_contract(two)


def test_fuse_of_a_route_is_its_second_level():
    models = [Toy(seed=seed) for seed in range(3)]
    ids = usable(models[0], 5)
    made = fuse(routed(models, 0.2, 0.6, 0.2, top=2), rule="geometric")
    expected = fuse(models[0], models[1], weights=[1, 3], rule="geometric")
    assert torch.allclose(fresh(made, ids), fresh(expected, ids))
    check_contract(made)


def test_an_answer_by_a_route_is_in_the_members_own_tokens():
    one, other = Toy(seed=1), Toy(worded("th", "hem"), seed=2)
    model = routed([one, other], 0.1, 0.9)
    assert answer_by(model, PROMPT, HOW) == answer(other, PROMPT, HOW)
    assert answer(model, PROMPT, HOW)  # as a model it speaks the first one's


def test_a_route_in_a_plan(tmp_path):
    model = LocalModel(tiny("llama"))
    prompts = ["Who counts?", "a", "over the dog", "what the fox"]
    features = prompt_features(model, prompts)
    assert features.shape == (4, 32 + CHEAP) and np.isfinite(features).all()
    rewards = np.array([[1, 0], [0, 1], [1, 0], [0, 1.0]])
    file = tmp_path / "r.safetensors"
    fit_router(features, rewards, ["edge", "host"]).save(file)
    model_of = route(model, Toy(seed=2), router=str(file))
    for prompt, wanted in zip(prompts, (0, 1, 0, 1), strict=True):
        assert model_of.choose(Prompt(prompt)) == [(wanted, 1.0)]
    for make, said in (
        (lambda: route(model, router=str(file)), "trained for 2 models"),
        (lambda: route(router=str(file)), "at least one"),
        (lambda: route(model, model, router=str(file), top=3), "between 1 and 2"),
        (lambda: route(Toy(), Toy(), router=str(file)), "local model"),
    ):
        with pytest.raises(UsageError, match=said):
            make()


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_answers_that_are_read_together_are_seen_as_each_is_alone(kind):
    model = LocalModel(tiny(kind))
    pairs = [("Who counts?", "the dog"), ("a", "fox"), ("Who counts?", ""), ("Who counts?", "over the fox")]
    alone = np.concatenate([answer_features(model, [pair]) for pair in pairs])
    assert np.allclose(answer_features(model, pairs), alone, atol=1e-5)


def test_a_bandit_learns_from_feedback_and_remembers(tmp_path):
    features, _, domain = known_domains(300, members=2)
    path = tmp_path / "bandit"
    bandit = Bandit.open(path, ["a", "b"])
    right = []
    for x, d in zip(features, domain, strict=True):
        arm = int(bandit.pick(x[None])[0])
        right.append(arm == d)
        assert bandit.feedback(float(arm == d)) == "ab"[arm]
    assert np.mean(right[:40]) < np.mean(right[-100:]) > 0.85
    again = Bandit.open(path, ["a", "b"])
    assert np.allclose(again.expected(features), bandit.expected(features))
    with pytest.raises(RengaError, match="no answer"):
        again.feedback(1.0)
    again.pick(features[:1])
    assert Bandit.open(path, []).feedback(0.0) in "ab"  # another process is told
    with pytest.raises(UsageError, match="2 models, not 3"):
        Bandit.open(path, ["a", "b", "c"])


# ---------------------------------------------------------------------------------------------- the numbers


def test_curves_have_known_ends():
    rng = np.random.default_rng(0)
    weak, strong = ((rng.random(400) < share).astype(float) for share in (0.4, 0.8))
    _, quality = curve(rng.random(400), weak, strong)
    assert quality[0] == pytest.approx(weak.mean()) and quality[-1] == pytest.approx(strong.mean())
    assert np.mean([apgr(rng.random(400), weak, strong) for _ in range(50)]) == pytest.approx(0.5, abs=0.03)
    oracle = strong - weak
    assert apgr(oracle, weak, strong) > 0.8
    assert cpt(oracle, weak, strong, 0.95) < 0.5 < cpt(-oracle, weak, strong, 0.95)
    assert apgr(np.zeros(400), weak, strong) == pytest.approx(0.5)  # a tie is no knowledge
    assert np.isnan(apgr(oracle, weak, weak))


def test_aiq_is_the_area_under_the_hull():
    costs, quality = np.array([0.0, 1.0]), np.array([0.4, 0.8])
    assert aiq(costs, quality) == pytest.approx(0.6)
    assert aiq(np.array([0, 0.5, 1]), np.array([0.4, 0.8, 0.8])) == pytest.approx(0.7)
    assert aiq(np.array([0, 0.5, 1]), np.array([0.4, 0.3, 0.8])) == pytest.approx(0.6)


def test_best_of_n_is_its_expectation_over_all_choices():
    rng = np.random.default_rng(0)
    proxy, gold = rng.random((3, 8)), rng.random((3, 8))
    drawn = np.array(
        [
            [gold[t, max(rng.permutation(8)[:3], key=lambda i: proxy[t, i])] for t in range(3)]
            for _ in range(4000)
        ]
    )
    one, three, eight = best_of_n(proxy, gold, [1, 3, 8])
    assert one == pytest.approx(gold.mean())
    assert three == pytest.approx(drawn.mean(), abs=0.01)
    assert eight == pytest.approx(gold[np.arange(3), proxy.argmax(1)].mean())


# -------------------------------------------------------------------------------------------------- rewards


def preferences(count=150, width=12, flipped=0.25, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal(width)
    one, other = rng.standard_normal((2, count, width))
    better = np.where(((one - other) @ truth > 0)[:, None], one, other)
    worse = np.where(((one - other) @ truth > 0)[:, None], other, one)
    flip = rng.random(count) < flipped
    better[flip], worse[flip] = worse[flip], better[flip].copy()
    return truth, better, worse


def test_heads_find_what_is_preferred_though_a_quarter_of_the_labels_is_wrong():
    truth, better, worse = preferences()
    heads = fit_heads(better, worse)
    x = np.random.default_rng(1).standard_normal((500, 12))
    rewards = heads.rewards(x)
    assert rewards.shape == (5, 500)
    assert np.corrcoef(rewards.mean(0), x @ truth)[0, 1] > 0.8
    assert not np.allclose(rewards[0], rewards[1])


def test_heads_put_together():
    rewards = np.random.default_rng(0).standard_normal((4, 50))
    mean, worst = put_together(rewards), put_together(rewards, "worst")
    assert np.all(worst <= mean)
    assert np.array_equal(put_together(rewards, "cautious", 0.0), mean)
    assert np.allclose(put_together(rewards, "cautious", 2.0), mean - 2 * rewards.var(0))


def test_a_reward_judge_sees_with_its_model(tmp_path):
    model = LocalModel(tiny("llama"))
    right, wrong = [("Who?", "the fox"), ("a", "the dog")], [("Who?", "e"), ("a", "9")]
    file = tmp_path / "heads"
    fit_heads(answer_features(model, right), answer_features(model, wrong)).save(file)
    for how in ("mean", "worst", "cautious"):
        scores = reward(str(file), model, how=how).score(Prompt("Who?"), ["the fox", "e"])
        assert scores[0] > scores[1]
    assert np.array_equal(Heads.load(file).weights, Heads.load(file).weights)
    with pytest.raises(UsageError, match="no reward heads"):
        reward(str(tmp_path / "none"), model)
    with pytest.raises(UsageError, match="two pairs"):
        fit_heads(np.zeros((1, 3)), np.zeros((1, 3)))
