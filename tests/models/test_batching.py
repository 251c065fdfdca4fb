"""Batched sessions answer as sessions alone do, however many there are and whatever they do meanwhile."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from renga.errors import RengaError
from renga.models.batching import BatchedModel, Overloaded
from renga.models.contract import Sampling, Scores, TopK, Verify
from renga.models.local import LocalModel
from tests.models.tiny_weights import random_adapter, some_ids, tiny

KINDS = ["llama", "gemma3", "gpt2 in float64", "starcoder2 in float64"]


@pytest.fixture(params=KINDS)
def pair(request):
    weights = tiny(request.param)
    adapter = None if "gpt2" in request.param else random_adapter(weights)
    batched = BatchedModel(weights, adapter, sessions=6, tokens=200)
    yield LocalModel(weights, adapter), batched
    batched.close()


def story(session, weights, seed):
    """Feeds of unequal lengths, with rewinds; all rows and ids."""
    rows, ids = [], []
    for turn in range(4):
        fed = some_ids(weights, (seed * 7 + turn * 3) % 9, seed=seed * 10 + turn)
        rows.append(session.feed(fed).logp)
        session.rewind(session.length - len(fed) // 2)
        rows.append(session.feed(fed[:1], TopK(5)).logp)
        rows.append(session.feed(fed, Scores()).scores)
        ids += session.feed(fed, Verify(Sampling(temperature=1.0, seed=seed), 3)).ids.tolist()
    return rows, ids


def test_many_at_once_answer_as_each_alone(pair):
    local, batched = pair
    prompts = [some_ids(local.weights, 3 + 23 * i, seed=i) for i in range(6)]

    def served(i):
        session = batched.open_ids(prompts[i])
        try:
            return story(session, local.weights, i)
        finally:
            session.close()

    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(served, range(6)))
    for i, (rows, ids) in enumerate(together):
        alone_rows, alone_ids = story(local.open_ids(prompts[i]), local.weights, i)
        assert ids == alone_ids
        for mine, theirs in zip(rows, alone_rows, strict=True):
            assert torch.allclose(mine, theirs, rtol=0, atol=1e-4)


def test_what_is_full_says_so_and_has_room_again(pair):
    _, batched = pair
    taken = [batched.open_ids([2]) for _ in range(6)]
    with pytest.raises(Overloaded):
        batched.open_ids([2])
    taken[3].close()
    batched.open_ids([2]).feed([])
    with pytest.raises(RengaError, match="fill all 200 tokens"):
        taken[0].feed([2] * 200)
    with pytest.raises(RengaError, match="closed"):
        taken[3].feed([2])


def test_learning_excludes_answering():
    weights = tiny("llama")
    batched = BatchedModel(weights, patience=0.05)
    session = batched.open_ids([2, 3])
    with weights.learning(random_adapter(weights)), pytest.raises(Overloaded):
        session.feed([4])
    mine, alone = session.feed([4]).logp, LocalModel(weights).open_ids([2, 3]).feed([4]).logp
    assert mine is not None and alone is not None and torch.allclose(mine, alone, atol=1e-4)
    batched.close()
