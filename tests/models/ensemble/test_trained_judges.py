"""What is fitted to answers judges them: a scorer, a comparison of two; and answers as a model sees them."""

import numpy as np
import pytest

from renga.errors import RengaError, UsageError
from renga.models.contract import Prompt
from renga.models.ensemble.cascade import cascade
from renga.models.ensemble.judges import mbr
from renga.models.ensemble.ranking import Ranked, Ranker, differences, fit_ranker, ranked
from renga.models.ensemble.router import as_good_as, best_slack, fit_router
from renga.models.ensemble.scorer import Scorer, fit_scorer, scored
from renga.models.ensemble.selection import select
from renga.models.local import LocalModel
from renga.models.responders import answer_by
from tests.models.contract_checks import PROMPT
from tests.models.ensemble.test_answers import HOW, Says
from tests.models.tiny_weights import tiny
from tests.models.toy import Toy

EYE = LocalModel(tiny("llama"))


def test_a_scorer_gives_probabilities_that_fit(tmp_path):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((400, 12))
    true = 1 / (1 + np.exp(-2 * features[:, 0] - 0.5))
    right = (rng.random(400) < true).astype(float)
    scorer = fit_scorer(features[:300], right[:300])
    said = scorer.probabilities(features[300:])
    assert np.abs(said - true[300:]).mean() < 0.1
    assert said.mean() == pytest.approx(right[300:].mean(), abs=0.1)
    scorer.save(tmp_path / "s")
    assert np.array_equal(Scorer.load(tmp_path / "s").probabilities(features), scorer.probabilities(features))
    with pytest.raises(UsageError, match="are wrong"):
        fit_scorer(features[:5], np.zeros(5))


def test_a_cascade_asks_on_where_the_scorer_doubts(tmp_path):
    from renga.models.ensemble.features import answer_features

    pairs = [(f"q{i}", text) for i in range(6) for text in ("the fox", "over")]
    right = np.array([float(text == "the fox") for _, text in pairs])
    fit_scorer(answer_features(EYE, pairs), right, decay=1e-4).save(tmp_path / "s")
    judge = scored(str(tmp_path / "s"), EYE)
    good, bad = judge.score(PROMPT, ["the fox", "over"])
    assert good > 0.5 > bad
    for text, expected in (("the fox", "the fox"), ("over", "asked the large one")):
        model = cascade(Says(text), Says("asked the large one"), judge=judge, accept=0.5)
        assert answer_by(model, PROMPT, HOW) == expected


def test_a_ranker_has_no_side_and_finds_the_better(tmp_path):
    rng = np.random.default_rng(0)
    seen = rng.standard_normal((120, 10))
    seen[:, 3] += 1.0
    ranker = fit_ranker(seen[:80])
    assert (ranker.prefers(seen[80:]) > 0).mean() > 0.7
    assert np.allclose(ranker.prefers(-seen), -ranker.prefers(seen))
    ranker.save(tmp_path / "r")
    assert np.array_equal(Ranker.load(tmp_path / "r").weight, ranker.weight)


def test_ranking_answers_in_a_plan(tmp_path):
    pairs = [(f"q{i}", "the fox", other) for i in range(4) for other in ("over", "a dog")]
    turned = [(prompt, other, one) for prompt, one, other in pairs]
    assert np.allclose(differences(EYE, pairs), -differences(EYE, turned))
    fit_ranker(differences(EYE, pairs), decay=1e-4).save(tmp_path / "r")
    judge = ranked(str(tmp_path / "r"), EYE)
    assert isinstance(judge, Ranked)
    scores = judge.score(PROMPT, ["over", "the fox", "a dog", "over"])
    assert scores[1] == max(scores) and scores[0] == scores[3]
    assert sum(scores[:3]) == pytest.approx(0)
    chosen = select(Says("over"), Says("the fox"), judge=judge)
    assert answer_by(chosen, PROMPT, HOW) == "the fox"
    assert judge.score(PROMPT, ["alone"]) == [0.0]


def test_consensus_as_a_model_sees_answers():
    judge = mbr("embedding", EYE)
    scores = judge.score(PROMPT, ["the fox", "the fox", "over the dog and more"])
    assert scores[0] == scores[1] > scores[2]
    assert all(-1 <= score <= 1 for score in scores)
    assert answer_by(select(Says("a"), Says("b"), Says("b"), judge=judge), PROMPT, HOW) == "b"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: mbr("embedding"), "local model"),
        (lambda path: mbr("embedding", Toy()), "local model"),
        (lambda path: scored(str(path / "none"), EYE), "renga train-scorer|no scorer"),
        (lambda path: ranked(str(path / "none"), EYE), "no ranker"),
        (lambda path: scored(str(path / "junk"), EYE), "is no scorer"),
        (lambda path: ranked(str(path / "junk"), EYE), "is no ranker"),
        (lambda path: fit_ranker(np.zeros((1, 3))), "two pairs"),
        (lambda path: fit_scorer(np.zeros((1, 3)), np.zeros(1)), "two answers"),
    ],
)
def test_a_judge_without_what_it_needs(tmp_path, make, said):
    (tmp_path / "junk").write_bytes(b"nothing")
    with pytest.raises(RengaError, match=said):
        make(tmp_path)


def test_a_judge_of_another_model(tmp_path):
    fit_ranker(np.random.default_rng(0).standard_normal((4, 7))).save(tmp_path / "r")
    with pytest.raises(RengaError, match="another model"):
        ranked(str(tmp_path / "r"), EYE).score(PROMPT, ["a", "b"])
    features = np.random.default_rng(0).standard_normal((4, 7))
    fit_scorer(features, np.array([0, 1, 0, 1.0])).save(tmp_path / "s")
    with pytest.raises(RengaError, match="another model"):
        scored(str(tmp_path / "s"), EYE).score(Prompt("q"), ["a"])


def test_labels_of_many_samples():
    small = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    large = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    assert as_good_as(small, large, 0.0).tolist() == [0.5, 1.0, 0.0]
    assert as_good_as(small, large, 1.0).tolist() == [1.0, 1.0, 1.0]
    rng = np.random.default_rng(0)
    hard = rng.random(100)
    weak = -2 * hard[:, None] + 0.1 * rng.standard_normal((100, 10))
    strong = 1.0 + 0.1 * rng.standard_normal((100, 10))
    assert as_good_as(weak, strong, 0.0).max() == 0  # a wide gap: nothing to learn
    slack = best_slack(weak, strong)
    labels = as_good_as(weak, strong, slack)
    assert labels[hard < 0.3].mean() > 0.9 and labels[hard > 0.7].mean() < 0.1
    features = np.stack([hard, rng.random(100)], 1)
    router = fit_router(features, np.zeros((100, 2)), ["small", "large"], good_enough=labels)
    asked = router.probabilities(features)[:, 1]
    assert asked[hard > 0.7].min() > asked[hard < 0.3].max()
    with pytest.raises(UsageError, match="two members"):
        fit_router(features, np.zeros((100, 3)), ["a", "b", "c"], good_enough=labels)
