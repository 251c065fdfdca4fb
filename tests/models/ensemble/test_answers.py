"""Whole answers: chosen, combined, escalated; and what happens when somebody does not answer."""

import numpy as np
import pytest

from renga.errors import RengaError, UsageError
from renga.models.contract import Piece, Prompt, Sampling
from renga.models.ensemble.answers import log_likelihood
from renga.models.ensemble.cascade import cascade, fit_cascade, fit_thresholds, replayed
from renga.models.ensemble.judges import Pairwise, chrf, judge_of, loglik, mbr, token_f1
from renga.models.ensemble.selection import UNDECIDED, combine, select
from renga.models.example import Example
from renga.models.responders import answer_by
from tests.models.contract_checks import PROMPT
from tests.models.toy import Toy

HOW = Sampling(max_tokens=8)


class Says:
    """Gives its answers in turn, and remembers what it was asked."""

    def __init__(self, *texts, name="someone"):
        self.texts, self.asked, self.name = texts, [], name

    def respond(self, prompt, sampling):
        self.asked.append(prompt)
        text = self.texts[(len(self.asked) - 1) % len(self.texts)]
        if isinstance(text, Exception):
            raise text
        yield Piece(text)


class Scores:
    def __init__(self, scores):
        self.scores = scores

    def score(self, prompt, answers):
        return [self.scores[text] for text in answers]


def said(responder):
    return answer_by(responder, PROMPT, HOW)


def test_a_majority_counts_what_is_meant_and_the_earliest_wins_a_tie():
    assert said(select(Says("Kyoto"), Says("the tokyo."), Says("Tokyo"))) == "the tokyo."
    assert said(select(Says("a"), Says("b"))) == "a"
    assert said(select(Says("x", "Kyoto", "kyoto"), n=3)) == "Kyoto"


def test_without_a_majority_it_abstains_and_says_so():
    assert said(select(Says("a"), Says("b"), Says("c"), abstain=0.5)) == UNDECIDED
    assert said(select(Says("a"), Says("b"), Says("A"), abstain=0.5)) == "a"


def test_consensus_is_the_answer_most_like_the_others():
    texts = ["the red fox jumps", "a red fox jumps", "the red fox jumped over", "no idea"]
    assert said(select(*map(Says, texts), by="mbr")) != "no idea"
    scores = mbr("f1").score(PROMPT, texts)
    assert scores.index(min(scores)) == 3
    assert mbr("exact").score(PROMPT, ["a", "A", "b"]) == [0.5, 0.5, 0.0]


def test_utilities():
    assert chrf("abc", "abc") == token_f1("x", "x") == 1.0
    assert chrf("abc", "xyz") == token_f1("a1", "b1") == 0.0
    assert 0 < chrf("the fox", "the dog") < 1
    assert token_f1("red fox", "a red dog") == pytest.approx(0.5)


def test_likelihood_per_byte_with_the_end():
    model = Toy(seed=3)
    ids = [*model.vocabulary.encode("she on"), model.vocabulary.end]
    whole = sum(float(model.row(PROMPT, ids[:i])[id]) for i, id in enumerate(ids))
    assert log_likelihood(model, PROMPT, "she on") == pytest.approx(whole / 6)
    assert loglik(model).score(PROMPT, ["she on"])[0] == pytest.approx(np.exp(whole / 6))
    best = said(select(Says("the"), Says("x9"), Says("she"), by="judge", judge=model))
    assert best == max(("the", "x9", "she"), key=lambda text: log_likelihood(model, PROMPT, text))


def test_pairwise_asks_both_ways_round():
    class Partial(Pairwise):
        """Likes whoever stands first, and the longer answer a little more."""

        def __init__(self):
            super().__init__(Toy())

        def _first(self, prompt, one, other):
            return 5.0 + 0.1 * (len(one) - len(other))

    assert Partial().score(PROMPT, ["aa", "a", "aaaa", "aa"]) == pytest.approx([-0.05, -0.2, 0.25, -0.05])
    scores = Pairwise(Toy(seed=1)).score(PROMPT, ["a", "b"])
    assert scores[0] == -scores[1] != 0


def test_a_fuser_is_shown_the_question_and_the_best_answers():
    fuser = Says("fused")
    a, b = Says("tokyo", name="a"), Says("Tokyo!", name="b")
    c = Says("kyoto")
    assert said(combine(a, b, c, fuser=fuser, top=2)) == "fused"
    shown = fuser.asked[0].text
    assert PROMPT.text in shown and "1. tokyo" in shown and "2. Tokyo!" in shown and "kyoto" not in shown


def test_layers_show_everybody_the_others_answers():
    a, b = Says("first", "second"), Says("other", "again")
    fuser = Says("done")
    said(combine(a, b, fuser=fuser, layers=2))
    assert "other" in a.asked[1].text and "first" in b.asked[1].text
    assert "second" in fuser.asked[0].text and "first" not in fuser.asked[0].text
    one = Says("x")
    said(combine(one, n=3))  # Self-MoA: it fuses its own
    assert len(one.asked) == 4


def test_prompts_keep_their_clearance():
    fuser = Says("done")
    secret = Prompt("mine")
    list(combine(Says("a"), fuser=fuser).respond(secret, HOW))
    assert fuser.asked[0].clearance is secret.clearance


def test_a_cascade_asks_on_until_a_judge_accepts():
    judge = Scores({"bad": 0.3, "fair": 0.6, "good": 0.9, "lost": 0.01})
    small, middle, large = Says("bad", "fair", "good", "lost"), Says("fair"), Says("large")
    model = cascade(small, middle, large, judge=judge, accept=[0.8, 0.5], hopeless=0.05)
    assert [said(model) for _ in range(4)] == ["fair", "fair", "good", "lost"]
    assert model.asked == [4, 2, 0]
    assert said(cascade(Says("bad"), Says("large"), judge=judge)) == "large"


def test_a_cascade_that_trusts_agreement():
    sure, unsure = Says("yes"), Says("a", "b", "c", "d", "e")
    assert said(cascade(sure, Says("large"))) == "yes"
    assert said(cascade(unsure, Says("large"))) == "large"


def test_known_judges_by_name():
    small, large = Toy(seed=1), Toy(seed=2)
    text = said(small)
    for name, of in (("loglik", large), ("sure", small)):
        score = np.exp(min(0.0, log_likelihood(of, PROMPT, text)))
        for accept, expected in ((score - 1e-9, text), (min(1, score + 1e-9), said(large))):
            assert said(cascade(small, large, judge=name, accept=accept)) == expected


def test_who_fails_is_left_out_and_named():
    gone = Says(RengaError("the connection is lost"), name="clinic_a")
    model = cascade(gone, Says("large"), judge=Scores({}))
    assert said(model) == "large" and "clinic_a" in str(model.absences[0])
    chosen = select(gone, Says("a"), Says("b"))
    assert said(chosen) == "a" and "lost" in str(chosen.absences[0])
    with pytest.raises(RengaError, match="nobody is left"):
        said(select(gone, gone))
    with pytest.raises(RengaError, match="no stage"):
        said(cascade(gone, gone, judge=Scores({})))
    # The large one gone: the small one's answer is better than none.
    assert said(cascade(Says("bad"), gone, judge=Scores({"bad": 0.1}))) == "bad"


def test_thresholds_keep_to_a_budget():
    rng = np.random.default_rng(0)
    right = np.stack([rng.random(200) < 0.5, np.ones(200)], 1).astype(float)
    scores = (right[:, :1] + 0.3 * rng.standard_normal((200, 1))).astype(float)
    accuracies = []
    for budget in (1.0, 3.0, 6.0, 11.0):
        found = fit_thresholds(scores, right, [1.0, 10.0], budget)
        accuracy, cost = replayed(scores, right, [1.0, 10.0], found)
        assert cost <= budget
        accuracies.append(accuracy)
    assert accuracies == sorted(accuracies) and accuracies[-1] == 1.0
    assert accuracies[0] == pytest.approx(right[:, 0].mean())
    with pytest.raises(UsageError, match="budget"):
        fit_thresholds(scores, right, [1.0, 10.0], 0.5)


def test_a_cascade_fitted_to_texts_keeps_to_its_share_of_calls():
    texts = [Example(f"q{i}", "right") for i in range(8)]
    small = Says(*(["right", "wrong"] * 4))
    judge = Scores({"right": 0.7, "wrong": 0.3})
    for share, holds in ((1.0, (0.3, 0.7)), (0.5, (0.3, 0.7)), (0.25, (-np.inf, 0.3))):
        small.asked.clear()
        model = cascade(small, Says("right"), judge=judge)
        [found] = fit_cascade(model, texts, share)
        assert holds[0] <= found <= holds[1] and (found > 0.3) == (share >= 0.5)  # half are wrong


def test_what_does_not_fit_is_said():
    for make, match in (
        (lambda: select(Says("a")), "one answer"),
        (lambda: select(), "at least one"),
        (lambda: select(Says("a"), Says("b"), by="judge"), "needs a judge"),
        (lambda: select(Says("a"), Says("b"), by="loglik"), "last member"),
        (lambda: cascade(Says("a")), "two models"),
        (lambda: cascade(Says("a"), Says("b"), accept=[0.1, 0.2]), "1 decisions and 2"),
        (lambda: cascade(Says("a"), Says("b"), judge="sure"), "first member"),
        (lambda: cascade(Says("a"), Says("b"), judge="majorty"), "no judge"),
        (lambda: combine(), "at least one"),
        (lambda: judge_of("majorty", []), "no judge"),
    ):
        with pytest.raises(UsageError, match=match):
            make()
