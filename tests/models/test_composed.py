"""Models made of models: the whole contract; members that are late or gone; errors before anything runs."""

import math
import threading

import pytest
import torch

from renga.errors import RengaError, UsageError
from renga.models.composed import Composed, absences, dense, total
from renga.models.contract import Answer, Full, Prompt, Sampling, TopK
from renga.models.generate import answer
from renga.models.local import LocalModel
from tests.models.contract_checks import PROMPT, check_contract, fresh, usable
from tests.models.tiny_weights import random_adapter, tiny


def logp(answer):
    return answer.logp


def mean(rows, places):
    return torch.stack(list(rows)).logsumexp(0) - math.log(len(rows))


class Recited:
    """Depends on the past: the mean, but without what was said last."""

    def __call__(self, rows, places):
        whole = mean(rows, places)
        for place in range(len(whole)):
            if before := places.before(place):
                whole[place, before[-1]] = -torch.inf
        return whole.log_softmax(-1)


@pytest.fixture(scope="module")
def pair():
    weights = tiny("starcoder2 in float64")
    return LocalModel(weights), LocalModel(weights, random_adapter(weights))


@pytest.mark.parametrize("combine", [mean, Recited()])
def test_the_whole_contract(pair, combine):
    check_contract(Composed(pair, combine))


def test_made_of_models_that_are_made_of_models(pair):
    inner = Composed(pair, mean)
    check_contract(Composed([inner, pair[0]], mean))


def test_its_rows_are_what_is_made_of_the_members(pair):
    ids = usable(pair[0], 6)
    a, b = (fresh(model, ids) for model in pair)
    assert torch.allclose(fresh(Composed(pair, mean), ids).exp(), (a.exp() + b.exp()) / 2)


def test_members_read_nothing_twice(pair):
    model = Composed(pair, mean)
    session = model.open(PROMPT)
    session.feed(usable(model, 3))
    before = total(model)
    session.feed(usable(model, 4, seed=1))
    after = total(model)
    assert (after.passes - before.passes, after.tokens - before.tokens) == (2, 8)


def test_top_k_rows_share_what_is_left(pair):
    ids = usable(pair[0], 5)
    model = Composed(pair[:1], lambda rows, places: rows[0], wants=[TopK(4)])
    whole, cut = fresh(pair[0], ids), fresh(model, ids)
    best = whole.topk(4, dim=-1)
    assert torch.equal(cut.gather(1, best.indices), best.values)
    assert torch.allclose(cut.exp().sum(1), torch.ones(6, dtype=cut.dtype))
    assert len(cut[0].unique()) <= 5
    size = pair[0].vocabulary.size
    everything = pair[0].open(PROMPT).feed(ids, TopK(size))
    assert torch.equal(dense(everything, size), whole)
    check_contract(model)


class Failing:
    """A member that breaks, or dawdles, at given feeds."""

    def __init__(self, model, at, error=None, until=None):
        self.inner, self.at, self.error, self.until, self.fed = model, at, error, until, 0
        self.vocabulary, self.offers, self.name = model.vocabulary, model.offers, "clinic_a"

    def open(self, prompt):
        self.session = self.inner.open(prompt)
        if self.at < 0:
            raise self.error
        return self

    def feed(self, ids, want=None):
        self.fed += 1
        if self.fed == self.at:
            if self.error:
                raise self.error
            self.until.wait()
        return self.session.feed(ids, want)

    def rewind(self, length):
        self.session.rewind(length)


def greedy(model, tokens=12):
    return answer(model, PROMPT, Sampling(max_tokens=tokens))


@pytest.mark.parametrize("at", [-1, 1, 5])
def test_a_member_that_dies_is_left_out_and_named(pair, at):
    gone = Failing(pair[1], at, RengaError("the connection is lost"))
    model = Composed([pair[0], gone], mean, may_leave=True)
    said = greedy(model)
    assert str(absences(model)[0]) == (
        f"clinic_a was left out from token {max(1, at)} on: the connection is lost"
    )
    if at <= 1:
        assert said == greedy(pair[0])
    else:
        whole = greedy(Composed(pair, mean))
        assert said and whole[:1] == said[:1]


def test_without_leave_its_error_ends_the_answer(pair):
    with pytest.raises(RengaError, match="lost"):
        greedy(Composed([pair[0], Failing(pair[1], 3, RengaError("lost"))], mean))


def test_no_member_left(pair):
    dead = [Failing(pair[0], 2, RengaError("lost")), Failing(pair[1], 4, RengaError("lost too"))]
    with pytest.raises(RengaError, match="no member is left"):
        greedy(Composed(dead, mean, may_leave=True))


def test_a_late_member_is_left_out_and_comes_back(pair):
    gate = threading.Event()
    other = LocalModel(tiny("starcoder2 in float64"))
    late = Failing(other, 2, until=gate)
    model = Composed([pair[0], late], lambda rows, places: rows[-1], may_leave=True, patience=0.2)
    session = model.open(PROMPT)
    ids = usable(model, 4)
    session.feed([])
    session.feed(ids[:1])
    assert [a.why for a in absences(model)] == ["it was late"]
    gate.set()
    while (voice := session._voices[1]) and voice.late:
        pass
    assert torch.allclose(logp(session.feed(ids[1:]))[-1], fresh(other, ids)[-1])  # what it missed, too


def test_what_does_not_fit_is_said_before_anything_runs(pair):
    with pytest.raises(UsageError, match="another vocabulary"):
        Composed([pair[0], LocalModel(tiny("gemma3"))], mean)
    with pytest.raises(UsageError, match="at least one"):
        Composed([], mean)

    class Narrow:
        vocabulary, offers = pair[0].vocabulary, frozenset({TopK})

        def open(self, prompt):
            raise AssertionError

    with pytest.raises(UsageError, match="Full"):
        Composed([Narrow()], mean)
    with pytest.raises(RengaError, match="outside the vocabulary"):
        Composed(pair, mean).open(PROMPT).feed([10**6])


def test_members_with_adapters_on_one_base_do_not_race(pair):
    """Read side by side, each wears its own."""
    ids = usable(pair[0], 6)
    for _ in range(5):
        rows = fresh(Composed(pair, lambda rows, places: rows[1]), ids)
        assert torch.allclose(rows, fresh(pair[1], ids), rtol=0, atol=1e-12)


def test_local_models_keep_the_contract_too(pair):
    check_contract(pair[0])
    assert isinstance(pair[0].open(Prompt("a")).feed([], Full()), Answer)
