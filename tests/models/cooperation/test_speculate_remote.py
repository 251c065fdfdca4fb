"""Speculation and fusion with a model behind a real socket: the same text, in fewer journeys."""

import pytest

from renga.errors import RengaError
from renga.models.composed import absences, total
from renga.models.contract import Clearance, Prompt, Sampling
from renga.models.cooperation.speculate import speculate
from renga.models.ensemble.fuse import fuse
from renga.models.generate import generate
from renga.models.local import LocalModel
from renga.models.remote import RemoteModel
from tests.models.test_remote import world  # noqa: F401 the fixture
from tests.models.tiny_weights import random_adapter, tiny

PUBLIC = Prompt("Who counts?", Clearance.PUBLIC)
HOW = [Sampling(max_tokens=16), Sampling(temperature=1.0, seed=2, max_tokens=16)]


class Counting:
    """A channel that counts journeys, and breaks for good after some."""

    asked, last = 0, 10**9

    def __init__(self, inner):
        self.inner = inner

    def ask(self, request):
        Counting.asked += 1
        if Counting.asked > Counting.last:
            raise RengaError("the server is gone")
        return self.inner.ask(request)

    def close(self):
        self.inner.close()


@pytest.fixture
def remote(world):  # noqa: F811
    weights, dial = world
    Counting.asked, Counting.last = 0, 10**9
    return RemoteModel(lambda: Counting(dial()), "host", weights.vocabulary)


def text(model, how):
    return list(generate(model, PUBLIC, how))


@pytest.mark.parametrize("how", HOW)
def test_a_remote_target_is_said_in_few_journeys_of_ids_alone(remote, how):
    edge = LocalModel(tiny("llama"))  # the same weights: what it drafts is agreed with
    alone = text(edge, how)
    assert text(speculate(edge, remote, length=4), how) == alone
    assert Counting.asked <= len(alone) // 5 + 3
    sent = total(remote)
    assert sent.bytes_down < 100 * sent.passes  # no rows
    stranger = LocalModel(edge.weights, random_adapter(edge.weights))
    assert text(speculate(stranger, remote), how) == alone


@pytest.mark.parametrize("how", HOW)
def test_a_fusion_across_the_network_costs_no_journey_per_token(remote, how):
    edge = LocalModel(tiny("llama"))
    target = fuse(edge, remote, weights=[0.6, 0.4], rows=256)
    alone = text(target, how)
    per_token = Counting.asked
    assert per_token >= len(alone)
    Counting.asked = 0
    assert text(speculate(edge, target, length=4), how) == alone
    assert Counting.asked <= per_token // 2


def test_truncated_rows_are_the_target_by_definition(remote):
    edge = LocalModel(tiny("llama"))
    other = LocalModel(edge.weights, random_adapter(edge.weights))
    target = fuse(other, remote, rows=8)
    assert text(speculate(edge, target), HOW[1]) == text(target, HOW[1])
    assert text(target, HOW[1]) != text(fuse(other, LocalModel(edge.weights)), HOW[1])


def test_a_server_that_goes_leaves_the_answer_to_those_who_are_left(remote):
    edge = LocalModel(tiny("llama"))
    model = speculate(edge, fuse(edge, remote, rows=16))
    Counting.last = 4
    said = text(model, Sampling(max_tokens=30))
    assert len(said) > 10
    assert "host was left out" in str(absences(model)[0]) and "gone" in str(absences(model)[0])
