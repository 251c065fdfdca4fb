"""Guards: detectors mark what is wrong, policies follow, failures are said, people decide."""

import math
import sqlite3

import numpy as np
import pytest

from renga.errors import RengaError, UsageError
from renga.models.contract import Clearance, Piece, Prompt, Sampling
from renga.models.cooperation.consistency import Entailment, Exact, Facts, table_facts
from renga.models.cooperation.detect import (
    CrossCheck,
    Failing,
    Likelihood,
    Mark,
    SelfCheck,
    same_answer,
    sampler,
)
from renga.models.cooperation.graph import Graph, Triple
from renga.models.cooperation.guard import ABSTENTION, Checked, Finding, Policy, Then, guard
from renga.models.cooperation.review import Queued, ReviewQueue, SimulatedReviewer
from renga.models.cooperation.spans import Span
from renga.models.cooperation.verdicts import Verdict, Weights, fit, logistic
from renga.models.local import LocalModel
from tests.models.cooperation.test_retrieve import Says
from tests.models.tiny_weights import tiny

ASK = Prompt("What is known of the mine?")
PASSAGE = "The copper mine at Lund closed on 4 May 1926. Per Dahl owned it with 12 others."
GRAPH = Graph([Triple("Lund Mine", "owner", "Per Dahl"), Triple("Lund Mine", "closed", "1926")])


def bad(marks, answer, threshold=0.5):
    return [mark.span.of(answer) for mark in marks if mark.score >= threshold]


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ("It closed in 1926. Per Dahl owned it.", []),
        ("It closed in 1927. Per Dahl owned it.", ["1927"]),
        ("Eva Berg owned it with twelve others.", ["Eva Berg"]),
        ("It closed on 5 May 1926.", ["5 May 1926"]),
        ("", []),
    ],
)
def test_values_are_held_against_passages(answer, wrong):
    assert bad(Exact([PASSAGE]).inspect(ASK, answer), answer) == wrong
    assert bad(Exact(lambda question: [PASSAGE]).inspect(ASK, answer), answer) == wrong


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ("The owner of Lund Mine was Per Dahl.", 0),
        ("The owner of Lund Mine was Eva Berg.", 1),
        ("Lund Mine closed in 1927. Nothing else.", 1),
        ("Nobody owns the sea.", 0),
        ("Lund Mine was opened in 1880.", 0),
    ],
)
def test_facts_of_a_graph(answer, wrong):
    assert len(bad(Facts(GRAPH).inspect(ASK, answer), answer)) == wrong


def test_facts_of_a_table_and_answers_in_a_word():
    graph = table_facts([{"mine": "Lund Mine", "owner": "Per Dahl", "depth": None}], "mine")
    assert graph.triples == [Triple("Lund Mine", "owner", "Per Dahl")]
    question = Prompt("Who is the owner of Lund Mine?")
    assert bad(Facts(graph).inspect(question, "Eva Berg"), "Eva Berg") == ["Eva Berg"]
    assert bad(Facts(graph).inspect(question, "Per Dahl"), "Per Dahl") == []


def test_likelihood_is_the_model_s_own_per_sentence():
    model = LocalModel(tiny("llama"))
    answer = "It closed. Then rain fell."
    marks = Likelihood(model).inspect(ASK, answer)
    assert [mark.span.of(answer) for mark in marks] == ["It closed.", "Then rain fell."]
    ids = model.vocabulary.encode(answer)
    rows = model.open(ASK).feed(ids).logp
    assert rows is not None
    bits = -sum(float(rows[i, id]) for i, id in enumerate(ids)) / math.log(2)
    mine = sum(-math.log2(1 - mark.score) * len(mark.span.of(answer)) for mark in marks)
    assert mine == pytest.approx(bits, rel=0.2)  # the space between belongs to one of them
    assert Likelihood(model).inspect(ASK, "") == []


def test_selfcheck_marks_what_samples_do_not_say():
    answer = "The mine closed in 1926. Zebras guard it."
    detector = SelfCheck(lambda question, count: ["The mine closed in 1926."] * count)
    first, second = detector.inspect(ASK, answer)
    assert second.score > 1.2 * first.score and 0 <= first.score <= second.score <= 1
    assert "zebras" in second.reason
    drawn = sampler(Says("a b"), Sampling(seed=3))(ASK, 2)
    assert drawn == ["ab", "ab"]


def test_crosscheck_is_the_share_of_others_that_differ():
    others = [Says("It closed in 1926."), Says("It closed in 1931.")]
    (mark,) = CrossCheck(others, Sampling(), rephrase=lambda q: [q + "?"]).inspect(ASK, "1926")
    assert mark.score == 0.5 and "2 of 4" in mark.reason
    assert [prompt.text for prompt in others[0].asked] == [ASK.text, ASK.text + "?"]
    with pytest.raises(RengaError, match="nobody else"):
        CrossCheck([], Sampling()).inspect(ASK, "x")
    assert same_answer("The Lund mine.", "lund mine") and not same_answer("Lund", "Oslo")
    assert same_answer("", " ") and not same_answer("", "x")


def test_entailment_takes_off_what_no_passage_says():
    detector = Entailment([PASSAGE], LocalModel(tiny("llama")))
    marks = detector.inspect(ASK, "It closed. It burned.")
    assert len(marks) == 2 and all(0 < mark.score < 1 for mark in marks)
    assert detector.odds("", "It closed.") == 0
    biased = Entailment([PASSAGE], LocalModel(tiny("llama")), bias=50.0)
    assert all(mark.score < 1e-6 for mark in biased.inspect(ASK, "It closed."))


class Answers:
    """Answers in turn."""

    def __init__(self, *texts):
        self.texts, self.asked = list(texts), []

    def respond(self, prompt, sampling):
        self.asked.append(prompt)
        yield Piece(self.texts[min(len(self.asked), len(self.texts)) - 1])


WRONG, RIGHT = "It closed in 1927.", "It closed in 1926."


def ran(responder, policy, **more):
    pieces = list(guard(responder, [Exact([PASSAGE])], policy, **more).respond(ASK, Sampling()))
    assert isinstance(pieces[-1], Checked)
    return "".join(piece.text for piece in pieces), pieces[-1]


def test_to_show_is_to_stream_and_say_what_is_wrong():
    text, last = ran(Answers(WRONG), Policy())
    assert text == WRONG + "\n\n[? the number '1927' stands in no passage]"
    assert last.followed is Then.SHOW and last.finding.marks[0].span.of(WRONG) == "1927"
    text, last = ran(Answers(RIGHT), Policy())
    assert text == RIGHT and last.followed is None


def test_to_correct_is_to_ask_again_with_what_was_found():
    responder = Answers(WRONG, RIGHT)
    text, last = ran(responder, Policy(Then.CORRECT))
    assert text == RIGHT and last.followed is Then.CORRECT and last.finding.score == 0
    assert "stands in no passage" in responder.asked[1].text and WRONG in responder.asked[1].text
    assert responder.asked[1].clearance is ASK.clearance
    text, _ = ran(Answers(WRONG, "It closed in 1931, or in 1932."), Policy(Then.CORRECT, rounds=2))
    assert text.startswith(WRONG)  # what is no better does not replace it


def test_to_escalate_to_abstain_and_to_ask():
    assert ran(Answers(WRONG), Policy(Then.ESCALATE), escalate=Answers(RIGHT))[0] == RIGHT
    assert ran(Answers(RIGHT), Policy(Then.ESCALATE), escalate=Answers("never"))[0] == RIGHT
    assert ran(Answers(WRONG), Policy(Then.ABSTAIN))[0] == ABSTENTION

    class Person:
        def __init__(self, said):
            self.said = said

        def review(self, question, answer, finding):
            return self.said

    assert ran(Answers(WRONG), Policy(Then.ASK), reviewer=Person(RIGHT))[0] == RIGHT
    text, last = ran(Answers(WRONG), Policy(Then.ASK), reviewer=Person(None))
    assert text.startswith(WRONG) and last.notices == ("nobody looked at it in time",)


def test_an_escalation_that_may_not_leave_is_said():
    class Refuses:
        def respond(self, prompt, sampling):
            if prompt.clearance is Clearance.RAW:
                raise UsageError("a raw prompt does not leave this device")
            yield Piece(RIGHT)

    text, last = ran(Answers(WRONG), Policy(Then.ESCALATE), escalate=Refuses())
    assert text.startswith(WRONG) and "does not leave" in last.notices[0]


@pytest.mark.parametrize("failing", [Then.SHOW, Then.ABSTAIN, Then.ESCALATE])
def test_a_detector_that_fails_is_said_and_the_policy_decides(failing):
    guarded = guard(
        Answers(RIGHT), [Failing(), Exact([PASSAGE])], Policy(failing=failing), escalate=Answers("other")
    )
    *_, last = guarded.respond(ASK, Sampling())
    assert isinstance(last, Checked)
    assert last.finding.failures == ("failing could not tell: failing: out of order",)
    assert "could not tell" in last.text
    assert {"show": "", "abstain": ABSTENTION, "escalate": "other"}[failing] in last.text


@pytest.mark.parametrize(
    "call",
    [
        lambda: guard(Answers("x"), []),
        lambda: guard(Answers("x"), [Failing()], Policy(Then.ESCALATE)),
        lambda: guard(Answers("x"), [Failing()], Policy(Then.ASK)),
        lambda: guard(Answers("x"), [Failing()], Policy(threshold=2)),
        lambda: guard(Answers("x"), [Failing()], Policy(rounds=0)),
    ],
)
def test_policies_that_can_not_be_followed(call):
    with pytest.raises(UsageError):
        call()


def test_the_logistic_fit_is_at_the_top_of_its_likelihood():
    rng = np.random.default_rng(0)
    table = rng.standard_normal((200, 2))
    labels = (rng.random(200) < 1 / (1 + np.exp(-(0.5 + 2 * table[:, 0])))).astype(float)
    bias, weights = logistic(table, labels, ridge=0.1)

    def loss(b, w):
        z = b + table @ w
        return np.logaddexp(0, z).sum() - (labels * z).sum() + 0.05 * (w**2).sum()

    best = loss(bias, weights)
    for step in (0.01, -0.01):
        assert loss(bias + step, weights) > best
        assert all(loss(bias, weights + step * np.eye(2)[i]) > best for i in range(2))
    assert weights[0] > 1 and abs(weights[1]) < 0.5


def test_verdicts_teach_which_detector_to_trust(tmp_path):
    rng = np.random.default_rng(1)
    verdicts = [
        Verdict("q", "a", {"good": float(wrong) * 0.6 + 0.2, "noise": float(rng.random())}, not wrong)
        for wrong in rng.random(60) < 0.5
    ]
    weights = fit(verdicts)
    assert weights.score({"good": 0.8, "noise": 0.1}) > 0.7 > 0.3 > weights.score({"good": 0.2, "noise": 0.9})
    weights.save(tmp_path / "w.json")
    assert Weights.load(tmp_path / "w.json") == weights
    assert 0 < weights.score({}) < 1
    guarded = guard(Answers(WRONG), [Exact([PASSAGE])], combination=weights)
    assert guarded.inspect(ASK, WRONG).score == weights.score({"exact": 0.95})
    with pytest.raises(RengaError, match="only one kind"):
        fit([verdict for verdict in verdicts if verdict.right])
    (tmp_path / "x.json").write_text('{"bias": NaN, "weights": {}, "means": {}}')
    with pytest.raises(UsageError, match="no weights"):
        Weights.load(tmp_path / "x.json")


def finding(score, detector="exact"):
    return Finding((Mark(Span(0, 1), score, "because", detector),), (), score)


@pytest.fixture
def clock():
    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds

    return Clock()


def test_a_queue_asks_first_what_is_least_sure(tmp_path, clock):
    queue = ReviewQueue(tmp_path / "q" / "review.db", now=clock)
    for score, seconds in ((0.9, 10), (0.5, 20), (0.1, 30), (0.5, 5)):
        queue.ask("q", "a", finding(score), seconds=seconds)
    assert [item.id for item in queue.waiting()] == [4, 2, 1, 3]
    assert queue.judge(2, True)
    clock.now += 15
    assert [item.id for item in queue.waiting()] == [3]
    assert queue.judge(1, False, "better") is False  # too late for who waited, kept for who learns
    assert [(v.right, v.scores) for v in queue.verdicts()] == [
        (True, {"exact": 0.5}),
        (False, {"exact": 0.9}),
    ]
    assert queue.examples() == [{"prompt": "q", "response": "better"}, {"prompt": "q", "response": "a"}]
    for id in (1, 99):
        with pytest.raises(UsageError):
            queue.judge(id, True)
    again = ReviewQueue(tmp_path / "q" / "review.db", now=clock)
    assert len(again.verdicts()) == 2


def test_who_waits_gets_the_verdict_or_goes_on(tmp_path, clock):
    queue = ReviewQueue(tmp_path / "review.db", now=clock)
    first, second, third, fourth = (queue.ask("q", "a", finding(0.5), seconds=10) for _ in range(4))
    queue.judge(first, True)
    queue.judge(second, False, "b")
    queue.judge(third, False)
    assert queue.wait(first, sleep=clock.sleep) == "a"
    assert queue.wait(second, sleep=clock.sleep) == "b"
    assert queue.wait(third, sleep=clock.sleep) is None
    assert queue.wait(fourth, sleep=clock.sleep) is None and clock.now >= 1010
    assert (
        Queued(ReviewQueue(tmp_path / "review.db"), seconds=0.01, poll=0.01).review("q", "a", finding(0.5))
        is None
    )


def test_a_queue_that_is_none(tmp_path):
    sqlite3.connect(tmp_path / "a.db").executescript("CREATE TABLE x (y)")
    (tmp_path / "b.db").write_bytes(b"nonsense" * 100)
    for name in ("a.db", "b.db"):
        with pytest.raises(RengaError, match="can't be used"):
            ReviewQueue(tmp_path / name)


def test_a_simulated_reviewer_errs_as_often_as_told():
    reviewer = SimulatedReviewer(lambda question: "right", same_answer, error=0.2, seed=0)
    said = [reviewer.judge("q", "wrong") for _ in range(1000)]
    assert 0.15 < np.mean(said) < 0.25 and reviewer.asked == 1000
    again = SimulatedReviewer(lambda question: "right", same_answer, error=0.2, seed=0)
    assert said == [again.judge("q", "wrong") for _ in range(1000)]


def test_relations_that_differ_by_a_small_word_are_told_apart():
    graph = Graph([Triple("Lund Mine", "founded_by", "Per Dahl"), Triple("Lund Mine", "founded_in", "1880")])
    assert (
        bad(
            Facts(graph).inspect(ASK, "Lund Mine was founded by Per Dahl."),
            "Lund Mine was founded by Per Dahl.",
        )
        == []
    )
    assert (
        len(
            bad(Facts(graph).inspect(ASK, "Lund Mine was founded in 1881."), "Lund Mine was founded in 1881.")
        )
        == 1
    )
